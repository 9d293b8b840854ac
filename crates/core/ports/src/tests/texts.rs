//! What is made of the matrix for others to read.

use super::site;
use crate::*;

#[test]
fn the_filters_of_nodes_are_these() {
    for (name, role) in [
        ("demo", "node-1"),
        ("everything", "node-1"),
        ("branch-office", "node-4"),
    ] {
        let site = site(name);
        let node = site
            .nodes
            .values()
            .find(|node| node.name.as_str() == role)
            .unwrap();
        let text = nft::fragment(&site, &Facts::of(&site), &Machine::node(node));
        expect_test::expect_file![format!("../../testdata/{name}-{role}.nft")].assert_eq(&text);
    }
}

#[test]
fn other_filters_are_told_the_same() {
    let site = site("everything");
    let facts = Facts::of(&site);
    let worker = Machine::any(&site, &[Party::Worker]);
    let zone = firewalld::zone(&site, &facts, &worker);
    expect_test::expect_file!["../../testdata/everything-worker.xml"].assert_eq(&zone);
    let groups = openstack::groups(&site, &facts, &[Party::ControlPlane, Party::Worker]);
    expect_test::expect_file!["../../testdata/everything-groups.sh"].assert_eq(&groups);
}

#[test]
fn fields_with_commas_and_quotes_stay_one_field() {
    let site = site("demo");
    let wanted = show::Wanted {
        matrix: Matrix::Tectonic,
        on: vec![Party::Frontend],
        all: false,
    };
    expect_test::expect![[r#"
        id,what,on,direction,peers,protocol,ports,bind,when,holds,need,source,url,note
        I-I-1,ingress of console and dex,frontend,in,bastion control-plane worker meta-worker frontend arbiter bmc host unknown outside,tcp,443,address,,yes,MUST,Tectonic: generic platform,https://github.com/coreos/tectonic-docs/blob/14a36d87084c098268c36b3687c783b58149b3b0/Documentation/generic-platform.md,"peer not stated; today API, 80, 443 and VRRP"
        I-E-1,image pulls,frontend,out,outside,tcp,443,client,,yes,MUST,Tectonic: generic platform,https://github.com/coreos/tectonic-docs/blob/14a36d87084c098268c36b3687c783b58149b3b0/Documentation/generic-platform.md,"protocol not stated; today the same, or a mirror"
    "#]]
    .assert_eq(&show::csv(&Facts::of(&site), &wanted).replace("\r\n", "\n"));
}
