//! Who has a config, and who has not.

use faros_model::{
    ids::Nonce,
    site::{Caller, Node, Stranger},
};

use super::world::{at, mac, site};
use crate::{Asks, NoPass, Pass, admit};

fn nonce(bits: u8) -> Nonce {
    Nonce::of([bits; 16])
}

/// Asks as node-1 does an install after its script was served at second 100.
fn ask(change: impl FnOnce(&mut Asks<'_>)) -> Result<(), NoPass> {
    let site = site();
    let node = &site.nodes[&"node-1".parse().unwrap()];
    answer(node, Pass::issue(node.name.clone(), &nonce(1), at(100)), change).map(drop)
}

fn answer(node: &Node, pass: Pass, change: impl FnOnce(&mut Asks<'_>)) -> Result<Pass, NoPass> {
    let shown = nonce(1);
    let mut asks = Asks {
        caller: Caller {
            node,
            from: node.address,
            mac: Some(node.boot_mac),
            is_closed: false,
        },
        is_armed: true,
        nonce: &shown,
        now: at(160),
    };
    change(&mut asks);
    admit(&asks, Some(pass))
}

#[test]
fn the_node_itself_has_its_config_once_and_soon() {
    assert_eq!(ask(|_| ()), Ok(()));
    assert_eq!(ask(|asks| asks.now = at(100 + 30 * 60)), Ok(()));
    assert_eq!(ask(|asks| asks.now = at(101 + 30 * 60)), Err(NoPass::Late));
    let site = site();
    let node = &site.nodes[&"node-1".parse().unwrap()];
    let pass = Pass::issue(node.name.clone(), &nonce(1), at(100));
    let used = answer(node, pass, |_| ()).unwrap();
    assert_eq!(used.used, Some(at(160)));
    assert_eq!(answer(node, used, |_| ()), Err(NoPass::Used));
}

#[test]
fn the_config_is_for_nobody_else() {
    assert_eq!(
        ask(|asks| asks.caller.from = [192, 168, 8, 200].into()),
        Err(NoPass::Stranger(Stranger::WrongAddress))
    );
    assert_eq!(
        ask(|asks| asks.caller.mac = Some(mac(9))),
        Err(NoPass::Stranger(Stranger::WrongMac))
    );
    assert_eq!(
        ask(|asks| asks.caller.mac = None),
        Err(NoPass::Stranger(Stranger::WrongMac))
    );
    assert_eq!(
        ask(|asks| asks.caller.is_closed = true),
        Err(NoPass::Stranger(Stranger::IdentityConflict))
    );
    assert_eq!(ask(|asks| asks.is_armed = false), Err(NoPass::NotArmed));
    let other = nonce(2);
    let site = site();
    let [one, two] = ["node-1", "node-2"].map(|name| &site.nodes[&name.parse().unwrap()]);
    let pass = |node: &Node, nonce: &Nonce| Pass::issue(node.name.clone(), nonce, at(100));
    assert_eq!(answer(one, pass(one, &other), |_| ()), Err(NoPass::WrongNonce));
    assert_eq!(answer(one, pass(two, &nonce(1)), |_| ()), Err(NoPass::WrongNonce));
}

#[test]
fn whoever_is_not_the_node_learns_nothing_of_its_state() {
    // Each of these alone is refused for another reason.
    let all = |asks: &mut Asks<'_>| {
        asks.caller.from = [192, 168, 8, 200].into();
        asks.caller.is_closed = true;
        asks.is_armed = false;
        asks.now = at(90_000);
    };
    assert_eq!(ask(all), Err(NoPass::Stranger(Stranger::WrongAddress)));
}
