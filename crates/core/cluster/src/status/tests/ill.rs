//! A cluster of which something is ill, or is about to be.

use expect_test::expect;

use super::world::check;

#[test]
fn what_was_there_and_is_not_well_is_told_first() {
    check(&expect![[r"
        runs a
        runs w
        joins a
        joins w
        api ready
        server a ready
        kubelet a ready
        kubelet w ready
        passes 600
        ?
            ready for 0 s
            a ready for 600 s, waits for nothing: 
            w ready for 600 s, waits for nothing: 
        kubelet w not-ready: Kubelet stopped posting node status.
        ?
            degraded for 0 s
            - w is not-ready, waits for its kubelet: Kubelet stopped posting node status.
            a ready for 600 s, waits for nothing: 
            w not-ready for 0 s, waits for its kubelet: Kubelet stopped posting node status.
        kubelet w ready
        pod coredns w not-ready: back-off restarting failed container
        ?
            degraded for 0 s
            - coredns on w is not-ready: back-off restarting failed container
            a ready for 600 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        pod coredns w ready
        certificate w ends: 30
        ?
            degraded for 0 s
            - the certificate of kubelet on w ends 1970-01-02T06:10:00Z
            a ready for 600 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        api lost: cannot reach the Kubernetes API at 192.168.8.11:6443
        server a silent: connection refused
        ?
            degraded for 0 s
            - a is unknown, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - w is unknown, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - kube-apiserver on a is not-ready: connection refused
            - the certificate of kubelet on w ends 1970-01-02T06:10:00Z
            a unknown for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            w unknown for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
    "]]);
}

#[test]
fn a_machine_that_never_comes_does_not_hide_that_another_is_ill() {
    check(&expect![[r"
        runs a
        joins a
        api ready
        server a ready
        kubelet a ready
        passes 600
        ?
            installing for 0 s
            - w is expected: it is not armed: `farosctl install w`
            a ready for 600 s, waits for nothing: 
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        server a failing: etcd
        ?
            degraded for 0 s
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            - w is expected: it is not armed: `farosctl install w`
            a ready for 600 s, waits for nothing: 
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        server a ready
        passes 10
        ?
            installing for 0 s
            - w is expected: it is not armed: `farosctl install w`
            a ready for 610 s, waits for nothing: 
            w expected for 10 s, waits for nothing: it is not armed: `farosctl install w`
    "]]);
}

#[test]
fn a_disk_that_is_full_and_a_majority_that_is_lost_are_named() {
    check(&expect![[r"
        runs a
        runs w
        complains w: no space left on device: 19 MiB are free, and a join needs 256
        joins a
        api ready
        server a ready
        kubelet a ready
        ?
            installing for 0 s
            - w is waiting, waits for what keeps it from asking: no space left on device: 19 MiB are free, and a join needs 256
            a ready for 0 s, waits for nothing: 
            w waiting for 0 s, waits for what keeps it from asking: no space left on device: 19 MiB are free, and a join needs 256
        joins w
        kubelet w ready
        short w: disk: kubelet has disk pressure
        ?
            installing for 0 s
            - w is short of disk: kubelet has disk pressure
            - w says: no space left on device: 19 MiB are free, and a join needs 256
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        short w
        etcd lost: a2
        ?
            degraded for 0 s
            - etcd has lost its majority: 1 of 2 members are there, without a2; start a2, or, if that is lost for good, `farosctl cluster restore` with the snapshot that was taken since (`farosctl cluster snapshot list`)
            - w says: no space left on device: 19 MiB are free, and a join needs 256
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
    "]]);
}
