//! Who failed, died or was put in the place of another, and comes again.

use expect_test::expect;

use super::world::check;

#[test]
fn a_node_that_died_at_it_is_handed_the_same_again() {
    check(&expect![[r"
        boots a
        boots b
        asks a
          -> init
        silent a
        asks b
          -> wait (first): a begins the control plane
        after 300
        boots a
        asks b
          -> wait (first): a begins the control plane
        asks a
          -> init
        joined a
        asks b
          -> join-control-plane
        boots b
        asks b
          -> join-control-plane
    "]]);
}

#[test]
fn a_first_node_that_never_comes_back_is_given_up_and_joins_when_it_does() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        silent a
        boots b
        asks b
          -> wait (first): a begins the control plane
        after 1201
        asks b
          -> init
        joined b
        boots a
        asks a
          -> join-control-plane
    "]]);
}

#[test]
fn who_fails_three_times_is_left_to_people_until_it_boots_again() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        fails a
        asks a
          -> wait (pause): the node has failed, and tries again in 31 s
        after 31
        asks a
          -> init
        fails a
        after 61
        asks a
          -> init
        fails a
        asks a
          -> failed: failed 3 times, at last at init: no space left on device
        boots b
        asks b
          -> init
        after 91
        boots a
        asks a
          -> wait (first): b begins the control plane
    "]]);
}

#[test]
fn who_is_started_anew_after_a_failure_need_not_wait() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        fails a
        boots a
        asks a
          -> init
    "]]);
}

#[test]
fn a_machine_in_the_place_of_another_waits_for_what_is_left_of_it() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        asks b
          -> join-control-plane
        joined b
        reinstalled b
        asks b
          -> wait (still-ready): Kubernetes takes the node for one that runs, from its life before; that ends within a minute
        not-ready b
        asks b
          -> wait (old-member): etcd has a member of the node's life before, or of a try that failed, which has to go first
        boots w
        asks w
          -> join-worker
        joined w
        reinstalled w
        asks w
          -> wait (still-ready): Kubernetes takes the node for one that runs, from its life before; that ends within a minute
        not-ready w
        asks w
          -> join-worker
    "]]);
}

#[test]
fn a_control_plane_that_lost_power_in_the_middle_joins_anew_though_its_kubelet_was_ready() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        asks b
          -> join-control-plane
        member b
        boots b
        asks b
          -> wait (still-ready): Kubernetes takes the node for one that runs, from its life before; that ends within a minute
        not-ready b
        asks b
          -> join-control-plane
    "]]);
}

#[test]
fn a_join_whose_word_was_lost_is_done() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots w
        asks w
          -> join-worker
        after 20
        member w
        boots w
        asks w
          -> done
    "]]);
}
