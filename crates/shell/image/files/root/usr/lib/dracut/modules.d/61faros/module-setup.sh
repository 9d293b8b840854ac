#!/bin/bash
# Dracut's module of Faros: the initramfs tells the bastion that the node starts from its disk, which is what lets
# it be unlocked.

check() { return 0; }

depends() { echo systemd-networkd; }

install() {
  inst_multiple cat curl cut date sed sleep tail tr
  inst_simple "$moddir/booting" /usr/lib/faros/booting
  inst_simple "$moddir/faros-booting.service" "$systemdsystemunitdir/faros-booting.service"
  $SYSTEMCTL -q --root "$initdir" enable faros-booting.service
}
