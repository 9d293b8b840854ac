//! What the bastion did not see, in stories as text.

use expect_test::expect;

use super::timelines::check;

#[test]
fn what_happened_while_the_daemon_was_down_is_not_made_up() {
    check(
        "0 firmware-has
         3 loader-sent
         7 loader-has
         9 told-install
         9.5 kernel-sent
         11 initramfs-sent
         33 booted
         34 ignition-served bytes=4120
         35 ignited
         35.2 node-report report=stage stage=disks state=started
         40 - daemon-stopping reason=signal
         60 - daemon-started version=1
         70 node-report report=stage stage=root state=started
         90 node-report report=stage stage=root state=done seconds=34",
        Some(95.0),
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  1 m 35 s
            goes on; reached: installing

                   AT      TOOK  WHAT
                0.0 s     2.9 s  firmware                                   =
                0.0 s              has 192.168.8.11
                2.9 s     0.1 s  loader snponly.efi, 146 KiB, 1.2 MiB/s     =
                3.0 s     6.0 s  loader runs                                =
                7.0 s              has 192.168.8.11
                9.0 s              is told to install itself
                9.2 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s                =
               10.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s             =
               11.0 s    22.0 s  system starts                               ====
               33.0 s     2.0 s  Ignition                                        =
               33.0 s              reports that its system is up
               34.0 s              is given its Ignition config
               35.0 s              reports that it has its Ignition config
               35.2 s     4.8 s  install: disks, no end seen                     =
               40.0 s    20.0 s  not recorded: farosd was stopped: signal         ????
               40.0 s              ! farosd stops: signal
             1 m 00 s    10.0 s  not seen                                             .
             1 m 00 s              farosd started
             1 m 10 s    20.0 s  install: root                                         ====
             1 m 30 s     5.0 s  install, so far; awaited: the next stage                  =
                                 of the install
        "]],
    );
}

#[test]
fn a_phase_that_outlasts_the_daemon_keeps_its_name_if_its_end_bears_it_out() {
    check(
        "0 loader-has
         1 told-install
         2 kernel-sent
         4 initramfs-sent
         9 * dhcp-discover
         15 - daemon-started version=1 seq=100001
         31 booted",
        Some(32.0),
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  32.0 s
            goes on; reached: booted

                   AT      TOOK  WHAT
                0.0 s     1.0 s  loader runs                                =
                0.0 s              has 192.168.8.11
                1.0 s              is told to install itself
                1.8 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s               =
                2.0 s     1.1 s  script                                      =
                3.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s             =
                4.0 s     5.0 s  system starts, no end seen                   ==
                9.0 s     6.0 s  not recorded: farosd ended without a word      ???
                                 some time in it, and was started again
               15.0 s    16.0 s  system starts, begin not seen                     ========
               15.0 s              farosd started
               31.0 s     1.0 s  Ignition, so far; awaited: its word that                  =
                                 it has its Ignition config
               31.0 s              reports that its system is up
        "]],
    );
}

#[test]
fn a_hole_in_the_record_is_shown() {
    check(
        "0 loader-has
         1 told-install
         2 kernel-sent
         4 initramfs-sent
         31 node-report report=booted seq=200000
         12 ignition-served bytes=1",
        Some(32.0),
        expect![[r"
            node-1  boot-7  2026-11-21 08:00:00Z  32.0 s
            goes on; reached: ignition

                   AT      TOOK  WHAT
                0.0 s     1.0 s  loader runs                                =
                0.0 s              has 192.168.8.11
                1.0 s              is told to install itself
                1.8 s     0.2 s  kernel, 11.2 MiB, 44.7 MiB/s               =
                2.0 s     1.1 s  script                                      =
                3.1 s     0.9 s  initramfs, 37.2 MiB, 41.4 MiB/s             =
                4.0 s     0.0 s  system starts, no end seen                   =
                4.0 s    27.0 s  not recorded: the record has a hole:         ?????????????
                                 numbers of events are missing
               12.0 s     0.0 s  not recorded: the bastion's clock was set        ?
                                 back by 19.0 s
               12.0 s    20.0 s  Ignition, so far; awaited: its word that         =========
                                 it has its Ignition config
               12.0 s              is given its Ignition config
               31.0 s     0.0 s  system starts, begin not seen                             =
               31.0 s     0.0 s  Ignition, no end seen                                     =
               31.0 s              reports that its system is up
        "]],
    );
}
