use super::*;

/// As seen from systemd 252 and 257 with swtpm 0.7.1.
#[test]
fn what_went_wrong_is_read_from_what_is_said() {
    let cases = [
        (
            "WARNING:esys:src/tss2-esys/api/Esys_Load.c:324:Esys_Load_Finish() Received TPM Error \n\
             ERROR:esys:src/tss2-esys/api/Esys_Load.c:112:Esys_Load() Esys Finish ErrorCode (0x000001df) \n\
             Failed to load HMAC key in TPM: tpm:parameter(1):integrity check failed\n",
            "this TPM did not seal it, or was cleared since",
        ),
        (
            "WARNING:esys:src/tss2-esys/api/Esys_Load.c:324:Esys_Load_Finish() Received TPM Error \n\
             ERROR:esys:src/tss2-esys/api/Esys_Load.c:112:Esys_Load() Esys Finish ErrorCode (0x000001df) \n\
             Failed to unseal secret using TPM2: State not recoverable\n",
            "this TPM did not seal it, or was cleared since",
        ),
        (
            "Current policy digest does not match stored policy digest, cancelling TPM2 authentication attempt.\n",
            "the state of Secure Boot has changed since it was sealed",
        ),
        (
            "Failed to unseal secret using TPM2: Operation not permitted\n",
            "the state of Secure Boot has changed since it was sealed",
        ),
        (
            "ERROR:tcti:src/tss2-tcti/tcti-device.c:452:Tss2_Tcti_Device_Init() Failed to open specified TCTI \
             device file /dev/tpmrm0: No such file or directory \n\
             Failed to initialize TCTI context: tcti:IO failure\n",
            "there is no TPM 2.0 to talk to: Failed to open specified TCTI device file /dev/tpmrm0: No such file \
             or directory",
        ),
        (
            "TPM2 support is not installed.\n",
            "there is no TPM 2.0 to talk to: TPM2 support is not installed.",
        ),
        (
            "Failed to open session in TPM: tpm:warn(2.0): out of memory for session contexts\n",
            "the TPM refused: Failed to open session in TPM: tpm:warn(2.0): out of memory for session contexts",
        ),
        ("", "the TPM refused: nothing was said"),
    ];
    for (stderr, expected) in cases {
        assert_eq!(TpmError::of(stderr).to_string(), expected, "{stderr}");
    }
}
