//! Clients and neighbours that more than one test needs.

use crate::Site;

/// Asks for an address once through, without taking it; `-t` and `-T` say for how long.
const UDHCPC: &str = "udhcpc -i eth0 -q -n -f -s /bin/true";

impl Site {
    /// Asks for an address as the firmware of a machine does that boots by PXE, and boots no further: `architecture`
    /// and `options` are in udhcpc's words (RFC 4578).
    ///
    /// # Errors
    /// If there is no such client; that it got no address is none.
    pub fn firmware(
        &mut self,
        host: &str,
        architecture: &str,
        tries: u8,
        options: &[&str],
    ) -> anyhow::Result<String> {
        let tries = tries.to_string();
        let architecture = format!("0x5d:{architecture}");
        let own = ["-V", "PXEClient:Arch:00007:UNDI:003016", "-x", &architecture];
        let words: Vec<&str> = UDHCPC.split(' ').chain(["-T", "1", "-t", &tries]).collect();
        self.said(host, &[&words[..], &own, options].concat())
    }

    /// Asks for an address as an operating system does.
    ///
    /// # Errors
    /// If there is none within some seconds.
    pub fn lease(&mut self, host: &str) -> anyhow::Result<String> {
        // It asks again like any client: what comes before its socket is open is lost.
        let words: Vec<&str> = UDHCPC.split(' ').chain(["-T", "2", "-t", "4"]).collect();
        self.run(host, &words)
    }

    /// Brings up somebody else's DHCP server on the LAN, and has farosd look around.
    ///
    /// # Errors
    /// If it does not start.
    pub fn second_dhcp_server(&mut self, host: &str) -> anyhow::Result<()> {
        self.run(host, &["ip", "address", "add", "192.168.8.250/24", "dev", "eth0"])?;
        let dnsmasq = "dnsmasq --conf-file=/dev/null --port=0 --interface=eth0 --pid-file= --user=root
            --dhcp-authoritative --dhcp-range=192.168.8.240,192.168.8.249";
        let words: Vec<&str> = dnsmasq.split_whitespace().collect();
        self.run(host, &words)?;
        // A restart makes farosd look around at once.
        self.kill_and_start()
    }
}
