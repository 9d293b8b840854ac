//! Whose turn it is, and what keeps everybody from joining.

use expect_test::expect;

use super::world::check;

#[test]
fn one_begins_the_others_follow_one_by_one_and_workers_at_once() {
    check(&expect![[r"
        asks w
          -> wait (not-booted): the node is in no live boot session
        boots w
        asks w
          -> wait (no-control-plane): no control-plane node has begun the cluster
        boots b
        asks b
          -> init
        boots a
        asks a
          -> wait (first): b begins the control plane
        asks w
          -> wait (first): b begins the control plane
        joined b
        boots c
        asks c
          -> wait (turn): a joins the control plane first
        asks a
          -> join-control-plane
        asks c
          -> wait (turn): a joins the control plane first
        asks w
          -> wait (turn): a joins the control plane first
        joined a
        asks c
          -> join-control-plane
        joined c
        asks w
          -> join-worker
        boots x
        asks x
          -> join-worker
        joined w
        asks w
          -> done
    "]]);
}

#[test]
fn nobody_joins_a_cluster_that_is_not_well() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        boots w
        api down
        asks b
          -> wait (api): the Kubernetes API is not ready: etcd failed
        asks w
          -> wait (api): the Kubernetes API is not ready: etcd failed
        api ready
        etcd a ill
        asks b
          -> wait (etcd): the member of etcd on a is not well
        asks w
          -> wait (turn): b joins the control plane first
        etcd a well
        asks b
          -> join-control-plane
    "]]);
}

#[test]
fn nobody_joins_while_the_control_plane_is_upgraded_and_an_old_member_goes_all_the_same() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        upgrade begins
        asks a
          -> done
        asks b
          -> wait (upgrade): the control plane is being upgraded, and nobody joins meanwhile
        boots w
        asks w
          -> wait (turn): b joins the control plane first
        etcd b ill
        asks b
          -> wait (old-member): etcd has a member of the node's life before, or of a try that failed, which has to go first
        upgrade ends
        asks b
          -> wait (old-member): etcd has a member of the node's life before, or of a try that failed, which has to go first
    "]]);
}

#[test]
fn a_late_failure_takes_nothing_from_whoever_is_at_it() {
    check(&expect![[r"
        boots b
        asks b
          -> init
        after 1600
        boots a
        asks a
          -> init
        fails b
        after 60
        asks b
          -> wait (first): a begins the control plane
    "]]);
}
