//! The services of a site.

use expect_test::expect;
use faros_model::site::Site;

use crate::facts;

#[test]
fn the_services_of_the_examples_are_these() {
    let text = include_str!("../../../../../examples/everything.yaml");
    let told = |site: &Site| {
        let lines = facts(site)
            .into_iter()
            .map(|(subject, text)| format!("{subject}: {text}\n"));
        lines.collect::<String>()
    };
    expect![[r"
        authority of the API: the site file's
        holds: 192.168.8.2, 192.168.8.3
        server node-1: 192.168.8.11 for api, ingress-http, ingress-https, mqtt
        server node-2: 192.168.8.12 for ingress-http, ingress-https, mqtt
        service api: 6443/tcp on 192.168.8.2; https /readyz
        service ingress-http: 80/tcp on 192.168.8.3, by the client's address; tcp connect
        service ingress-https: 443/tcp on 192.168.8.3, by the client's address; tcp connect
        service mqtt: 8883/tcp on 192.168.8.3; tcp connect
    "]]
    .assert_eq(&told(&faros_site::load(text).unwrap().site));
}
