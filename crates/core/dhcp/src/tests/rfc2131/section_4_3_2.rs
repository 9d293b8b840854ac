//! DHCPREQUEST: which of four states the client is in follows from which fields it fills.

use expect_test::expect;

use crate::tests::script::check;

#[test]
fn init_reboot_is_confirmed_refused_or_met_with_silence() {
    check(
        "request 01 want=192.168.8.11
         request 01 want=192.168.8.99
         request aa want=10.9.9.9
         request aa want=192.168.8.200",
        expect![[r"
            request 01 want=192.168.8.11
              disk 192.168.8.11 02:00:00:00:00:01 Active
              -> Ack 192.168.8.11 to 02:00:00:00:00:01/192.168.8.11
            request 01 want=192.168.8.99
              -> Nak 0.0.0.0 to all (the site file gives it 192.168.8.11)
            request aa want=10.9.9.9
              -> Nak 0.0.0.0 to all (it is not of the network 192.168.8.0/24)
            request aa want=192.168.8.200
              silent: dhcp_no_record
        "]],
    );
}

#[test]
fn renewing_and_rebinding_are_answered_to_the_client_itself() {
    check(
        "request 01 from=192.168.8.11
         request 01 from=192.168.8.12
         request f0 from=192.168.8.60",
        expect![[r"
            request 01 from=192.168.8.11
              disk 192.168.8.11 02:00:00:00:00:01 Active
              -> Ack 192.168.8.11 to 192.168.8.11
            request 01 from=192.168.8.12
              -> Nak 0.0.0.0 to all (the site file gives it 192.168.8.11)
            request f0 from=192.168.8.60
              disk 192.168.8.60 02:00:00:00:00:f0 Active
              -> Ack 192.168.8.60 to 192.168.8.60
        "]],
    );
}

#[test]
fn a_relay_gets_the_answers_and_its_option_back() {
    check(
        "discover 01 relay=192.168.8.3
         request 01 relay=192.168.8.3 want=192.168.8.99",
        expect![[r"
            discover 01 relay=192.168.8.3
              -> Offer 192.168.8.11 to relay 192.168.8.3
            request 01 relay=192.168.8.3 want=192.168.8.99
              -> Nak 0.0.0.0 to relay 192.168.8.3 (the site file gives it 192.168.8.11)
        "]],
    );
}

#[test]
fn an_address_of_another_machine_is_refused() {
    check(
        "request aa server=192.168.8.1 want=192.168.8.11
         request aa server=192.168.8.1 want=192.168.8.200
         request bb server=192.168.8.1 want=192.168.8.200
         request aa server=192.168.8.1 want=192.168.8.201
         inform aa from=192.168.8.200",
        expect![[r"
            request aa server=192.168.8.1 want=192.168.8.11
              -> Nak 0.0.0.0 to all (it is kept for another machine)
            request aa server=192.168.8.1 want=192.168.8.200
              disk 192.168.8.200 02:00:00:00:00:aa Active
              -> Ack 192.168.8.200 to 02:00:00:00:00:aa/192.168.8.200
            request bb server=192.168.8.1 want=192.168.8.200
              -> Nak 0.0.0.0 to all (another machine has it)
            request aa server=192.168.8.1 want=192.168.8.201
              -> Nak 0.0.0.0 to all (it has 192.168.8.200)
            inform aa from=192.168.8.200
              -> Ack 0.0.0.0 to 192.168.8.200
        "]],
    );
}
