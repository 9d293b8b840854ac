//! A virtual IP that someone else has as well.

use faros_conformance::eventually;

use crate::world::{Balancer, LAPTOP, VIP};

#[test]
fn a_virtual_ip_that_someone_else_has_is_told_and_not_fought_over() -> anyhow::Result<()> {
    let mut lab = Balancer::up("t-taken")?;
    let other = "192.168.8.77";
    lab.site.run(
        LAPTOP,
        &["ip", "address", "add", &format!("{other}/24"), "dev", "eth0"],
    )?;
    let subnet = "    subnet: 192.168.8.0/24\n";
    lab.apply(subnet, &format!("{subnet}    addresses: {{api: {other}}}\n"))?;
    eventually("it is told", || {
        lab.saw("virtual-address-taken", "mac", "52:54:00:08:09:09")
    })?;
    let holds = |lab: &mut Balancer, address: &str| -> anyhow::Result<bool> {
        let said = lab
            .site
            .run("bastion", &["ip", "-4", "address", "show", "dev", "lan0"])?;
        Ok(said.contains(&format!("{address}/32")))
    };
    assert!(!holds(&mut lab, other)?);
    assert!(!holds(&mut lab, VIP)?, "the one of before is given back");
    let (said, _) = lab.site.farosctl(&["status"])?;
    assert!(
        said.contains("192.168.8.77 is used by 52:54:00:08:09:09"),
        "{said}"
    );
    lab.site.run(
        LAPTOP,
        &["ip", "address", "del", &format!("{other}/24"), "dev", "eth0"],
    )?;
    eventually("it is taken once it is free", || holds(&mut lab, other))?;
    // Somebody takes it away, and somebody else takes it as well: it is kept, and told. Who comes later announces
    // itself, as machines do; the bastion announces nothing against it.
    lab.site.run(
        "bastion",
        &["ip", "address", "del", &format!("{other}/32"), "dev", "lan0"],
    )?;
    eventually("it is back", || holds(&mut lab, other))?;
    let (said, _) = lab.site.farosctl(&["balancer"])?;
    assert!(said.contains("held"), "{said}");
    let held = |lab: &Balancer| -> anyhow::Result<usize> {
        let events = lab.site.events()?;
        let own = events
            .iter()
            .filter(|event| event.kind.as_str() == "virtual-address-held");
        Ok(own.filter(|event| event.detail["address"] == other).count())
    };
    let before = held(&lab)?;
    let thief =
        format!("ip address add {other}/24 dev eth0 && arping -q -c 1 -U -I eth0 {other} || test $? -eq 1");
    lab.site.run(LAPTOP, &["sh", "-c", &thief])?;
    eventually("it is told", || {
        let events = lab.site.events()?;
        let mut taken = events
            .iter()
            .filter(|event| event.kind.as_str() == "virtual-address-taken");
        Ok(taken.any(|event| event.detail["held"] == true && event.detail["mac"] == "52:54:00:08:09:09"))
    })?;
    let (said, _) = lab.site.farosctl(&["status"])?;
    assert!(
        said.contains("192.168.8.77 is used by 52:54:00:08:09:09 as well"),
        "{said}"
    );
    assert!(holds(&mut lab, other)?, "it is kept");
    assert_eq!(held(&lab)?, before, "and not taken anew");
    lab.site.run(
        LAPTOP,
        &["ip", "address", "del", &format!("{other}/24"), "dev", "eth0"],
    )?;
    eventually("the other has let go of it", || {
        let (said, _) = lab.site.farosctl(&["status"])?;
        Ok(!said.contains("is used by"))
    })?;
    // The bastion's own address does as well, and then none is held beside it.
    lab.serve(1, 80)?;
    let own = "    addresses: {bastion: 192.168.8.1, api: 192.168.8.1}\n";
    lab.apply(subnet, &format!("{subnet}{own}"))?;
    lab.wait_for("ingress-http", &["node-1"])?;
    let said = lab.ask(LAPTOP, "http://192.168.8.1/")?;
    assert_eq!(said, Ok("node-1 192.168.8.1".to_owned()));
    assert!(!holds(&mut lab, other)?);
    Ok(())
}
