//! Any bytes as a certificate request (DER), of an operator and of a kubelet.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    faros_pki::fuzz::request(bytes);
    faros_kube::fuzz::request(bytes);
});
