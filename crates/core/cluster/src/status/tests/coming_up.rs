//! A cluster that comes to be: what is there, and what the rest waits for.

use expect_test::expect;
use faros_model::{api::ClusterState, site::Distribution};

use super::world::{World, check};

#[test]
fn before_anything_is_there_it_says_what_is_missing() {
    check(&expect![[r"
        ?
            waiting for 0 s
            - a is expected: it is not armed: `farosctl install a`
            - w is expected: it is not armed: `farosctl install w`
            a expected for 0 s, waits for nothing: it is not armed: `farosctl install a`
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        missing: Kubernetes v1.36.3
        keys closed: they wait for a passphrase
        armed a
        passes 10
        runs w
        asks w
        ?
            waiting for 10 s
            - content is waiting: Kubernetes v1.36.3 is not in the content store; `farosctl content build kubernetes` brings it
            - root-keys is waiting: they wait for a passphrase
            - a is expected, waits for its network boot: it is armed, and was never seen
            - w is waiting, waits for content: Kubernetes v1.36.3 is not in the content store; `farosctl content build kubernetes` brings it
            a expected for 0 s, waits for its network boot: it is armed, and was never seen
            w waiting for 0 s, waits for content: Kubernetes v1.36.3 is not in the content store; `farosctl content build kubernetes` brings it
        all there
        passes 10
        ?
            waiting for 20 s
            - root-keys is waiting: they wait for a passphrase
            - a is expected, waits for its network boot: it is armed, and was never seen
            - w is waiting, waits for root-keys: they wait for a passphrase
            a expected for 10 s, waits for its network boot: it is armed, and was never seen
            w waiting for 0 s, waits for root-keys: they wait for a passphrase
        keys open
        phase a installed
        ?
            waiting for 20 s
            - a is booting: installed, armed
            - w is waiting, waits for a control-plane node: no control-plane node has begun the cluster
            a booting for 0 s, waits for nothing: installed, armed
            w waiting for 0 s, waits for a control-plane node: no control-plane node has begun the cluster
    "]]);
}

#[test]
fn an_install_is_told_by_what_each_waits_for() {
    check(&expect![[r"
        runs a
        runs w
        asks w
        asks a
        ?
            waiting for 0 s
            - a is waiting: it is handed this when it asks next: init
            - w is waiting, waits for a: a has not begun
            a waiting for 0 s, waits for nothing: it is handed this when it asks next: init
            w waiting for 0 s, waits for a: a has not begun
        begins a
        ?
            installing for 0 s
            - a is joining, waits for its images and kube-apiserver: init
            - w is waiting, waits for a: a is at work: init
            a joining for 0 s, waits for its images and kube-apiserver: init
            w waiting for 0 s, waits for a: a is at work: init
        passes 5
        server a silent: connection refused
        ?
            installing for 5 s
            - a is joining, waits for its kube-apiserver: init; connection refused
            - w is waiting, waits for a: a is at work: init
            - kube-apiserver on a is not-ready: connection refused
            a joining for 5 s, waits for its kube-apiserver: init; connection refused
            w waiting for 5 s, waits for a: a is at work: init
        server a failing: etcd poststarthook/rbac
        passes 5
        ?
            installing for 10 s
            - a is joining, waits for its etcd: init; not ready: etcd, poststarthook/rbac
            - w is waiting, waits for a: a is at work: init
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd, poststarthook/rbac
            a joining for 10 s, waits for its etcd: init; not ready: etcd, poststarthook/rbac
            w waiting for 10 s, waits for a: a is at work: init
        server a ready
        joins a
        api ready
        kubelet a not-ready: container runtime network not ready: cni plugin not initialized
        pod coredns - waiting: 0/1 nodes are available
        ?
            installing for 10 s
            - a is starting, waits for its network plug-in: container runtime network not ready: cni plugin not initialized
            - w is waiting: it is handed this when it asks next: join-worker
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a starting for 0 s, waits for its network plug-in: container runtime network not ready: cni plugin not initialized
            w waiting for 0 s, waits for nothing: it is handed this when it asks next: join-worker
        kubelet a ready: kubelet is posting ready status
        ?
            installing for 10 s
            - w is waiting: it is handed this when it asks next: join-worker
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a ready for 0 s, waits for nothing: kubelet is posting ready status
            w waiting for 0 s, waits for nothing: it is handed this when it asks next: join-worker
        begins w
        passes 30
        ?
            installing for 40 s
            - w is joining, waits for its kubelet: join-worker
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a ready for 30 s, waits for nothing: kubelet is posting ready status
            w joining for 30 s, waits for its kubelet: join-worker
        joins w
        kubelet w ready: kubelet is posting ready status
        ?
            installing for 40 s
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a ready for 30 s, waits for nothing: kubelet is posting ready status
            w ready for 0 s, waits for nothing: kubelet is posting ready status
        pod coredns w ready
        passes 60
        ?
            ready for 0 s
            a ready for 90 s, waits for nothing: kubelet is posting ready status
            w ready for 60 s, waits for nothing: kubelet is posting ready status
        passes 60
        ?
            ready for 60 s
            a ready for 150 s, waits for nothing: kubelet is posting ready status
            w ready for 120 s, waits for nothing: kubelet is posting ready status
    "]]);
}

#[test]
fn what_never_was_there_is_being_installed_whatever_its_parts_say() {
    check(&expect![[r"
        runs a
        begins a
        joins a
        api lost: cannot reach the Kubernetes API at 192.168.8.11:6443
        server a failing: etcd
        passes 7
        ?
            installing for 0 s
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            - a is starting, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - w is expected: it is not armed: `farosctl install w`
            a starting for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        passes 600
        ?
            installing for 600 s
            - a is unknown, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            - w is expected: it is not armed: `farosctl install w`
            a unknown for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            w expected for 600 s, waits for nothing: it is not armed: `farosctl install w`
        api ready
        server a ready
        kubelet a ready
        runs w
        joins w
        kubelet w ready
        ?
            ready for 0 s
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        server a failing: etcd
        ?
            degraded for 0 s
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
    "]]);
}

#[test]
fn a_node_that_fails_says_at_what() {
    check(&expect![[r"
        runs a
        joins a
        api ready
        server a ready
        kubelet a ready
        runs w
        fails w join: [ERROR Swap]: running with swap on is not supported
        ?
            installing for 0 s
            - w is waiting: the node has failed, and tries again in 31 s; at join it said: [ERROR Swap]: running with swap on is not supported
            a ready for 0 s, waits for nothing: 
            w waiting for 0 s, waits for nothing: the node has failed, and tries again in 31 s; at join it said: [ERROR Swap]: running with swap on is not supported
        passes 400
        ?
            installing for 400 s
            - w is waiting: it is handed this when it asks next: join-worker
            a ready for 400 s, waits for nothing: 
            w waiting for 400 s, waits for nothing: it is handed this when it asks next: join-worker
    "]]);
}

#[test]
fn a_site_without_a_cluster_has_none() {
    let mut world = World::new();
    world.site.cluster.distribution = Distribution::None;
    let status = world.judged();
    assert_eq!(status.state, ClusterState::None);
    assert_eq!(status.reasons, ["the site has no cluster"]);
    assert!(status.components.is_empty() && status.nodes.is_empty());
}
