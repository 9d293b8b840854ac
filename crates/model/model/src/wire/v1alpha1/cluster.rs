//! The cluster, and what the bastion keeps and runs for the site.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretRef, pattern};

wire! {
    /// The Kubernetes cluster.
    Cluster {
        /// Which Kubernetes is installed.
        #[schemars(extend("default" = "kubeadm"))]
        distribution: Distribution,
        /// Its version. Default: the newest in the content store.
        #[schemars(extend("examples" = ["v1.34.2"]))]
        version: String,
        /// Network of the pods.
        #[schemars(extend("default" = "10.128.0.0/14", "pattern" = pattern::NETWORK))]
        pod_network: String,
        /// Network of the services.
        #[schemars(extend("default" = "172.30.0.0/16", "pattern" = pattern::NETWORK))]
        service_network: String,
        /// The network plug-in.
        #[schemars(extend("default" = "bridge"))]
        network_plugin: NetworkPlugin,
        /// The secret with which images are pulled. Default: none.
        #[schemars(extend("examples" = [{"name": "pull-secret"}]))]
        pull_secret_ref: SecretRef,
        /// FIPS mode.
        #[schemars(extend("default" = false))]
        fips: bool,
    }
}

words! {
    /// Which Kubernetes is installed.
    Distribution {
        /// Upstream Kubernetes by kubeadm.
        Kubeadm = "kubeadm",
        /// OpenShift.
        Openshift = "openshift",
        /// Only the machines.
        None = "none",
    }
}

words! {
    /// Network plug-in of the cluster.
    NetworkPlugin {
        /// Bridge and host routes.
        Bridge = "bridge",
        /// Cilium.
        Cilium = "cilium",
        /// Calico.
        Calico = "calico",
        /// Flannel.
        Flannel = "flannel",
    }
}

wire! {
    /// Monitoring of the cluster.
    Monitoring {
        /// Whether it is installed.
        #[schemars(extend("default" = false))]
        enabled: bool,
    }
}

wire! {
    /// Where secrets are kept.
    Secrets {
        /// The bastion's own store, or a Vault.
        #[schemars(extend("default" = "builtin"))]
        backend: SecretsBackend,
    }
}

/// Where secrets are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SecretsBackend {
    /// The bastion's own store.
    Word(SecretsBackendWord),
    /// A Vault.
    Vault(SecretsVault),
}

words! {
    /// Where secrets are kept, in a word.
    SecretsBackendWord {
        /// The bastion's own encrypted store.
        Builtin = "builtin",
    }
}

wire! {
    /// Secrets in a Vault.
    #[schemars(extend("required" = ["vault"]))]
    SecretsVault {
        /// The Vault.
        vault: Vault,
    }
}

wire! {
    /// A Vault.
    #[schemars(extend("required" = ["address"]))]
    Vault {
        /// Its URL.
        #[schemars(extend("examples" = ["https://vault.example.com:8200"]))]
        address: String,
    }
}

wire! {
    /// Unlocking of the nodes' disks.
    Unlock {
        /// Whom the bastion helps.
        #[schemars(extend("default" = "boot-session"))]
        policy: UnlockPolicy,
        /// What seals the bastion's own keys at rest.
        #[schemars(extend("default" = "nothing"))]
        seal_keys_with: SealKeysWith,
    }
}

words! {
    /// Whom the bastion helps to unlock.
    UnlockPolicy {
        /// Only a node that is booting right now.
        BootSession = "boot-session",
        /// Any node of the site.
        KnownNodes = "known-nodes",
        /// Anyone: plain Tang.
        Anyone = "anyone",
    }
}

words! {
    /// What seals the bastion's keys at rest.
    SealKeysWith {
        /// The bastion's TPM 2.0.
        Tpm2 = "tpm2",
        /// A passphrase that is asked for at start.
        Passphrase = "passphrase",
        /// A share that is kept elsewhere.
        Share = "share",
        /// Nothing, which every status says aloud.
        Nothing = "nothing",
    }
}

wire! {
    /// Install content: kernels, images, packages.
    Content {
        /// When it is reachable.
        #[schemars(extend("default" = "while-armed"))]
        serve: ServeContent,
    }
}

words! {
    /// When install content is reachable.
    ServeContent {
        /// Only to a node that is to be installed.
        WhileArmed = "while-armed",
        /// Always, to the whole LAN.
        Always = "always",
    }
}

wire! {
    /// Services of the bastion, to switch one off.
    Services {
        /// Addresses and boot options.
        dhcp: ServiceSwitch,
        /// Names.
        dns: ServiceSwitch,
        /// Loaders, kernels and images, by TFTP and HTTP.
        netboot: ServiceSwitch,
        /// Ignition configs.
        ignition: ServiceSwitch,
        /// Unlocking of disks.
        unlock: ServiceSwitch,
        /// Time.
        ntp: ServiceSwitch,
        /// The way in and out: forwarding, firewall, published ports.
        router: ServiceSwitch,
        /// Virtual IPs of the API and the ingress, and which node answers behind them; runs only where the router does. Switch it off where nodes hold the virtual IPs themselves.
        balancer: ServiceSwitch,
    }
}

wire! {
    /// A service that runs or does not.
    #[schemars(extend("required" = ["enabled"]))]
    ServiceSwitch {
        /// Whether it runs.
        #[schemars(extend("default" = true))]
        enabled: bool,
    }
}

wire! {
    /// The central hub to enrol with.
    #[schemars(extend("required" = ["url"]))]
    Hub {
        /// Its URL, `https://`.
        #[schemars(extend("examples" = ["https://hub.example.com"]))]
        url: String,
    }
}

wire! {
    /// How the virtual IPs are served.
    Balancer {
        /// What decides which node an ingress client gets.
        #[schemars(extend("default" = "none"))]
        ingress_affinity: IngressAffinity,
        /// Certificates in PEM of the authorities that sign those of the API's servers, such as a cluster's `/etc/kubernetes/pki/ca.crt`. A server counts as well only if they signed its certificate for `api.<name>.<domain>`. By default the authority of the cluster that Faros makes (`kubeadm`); of other clusters, any certificate will do.
        #[schemars(extend("examples" = ["-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n"]))]
        api_ca: String,
    }
}

words! {
    /// What decides which node an ingress client gets.
    IngressAffinity {
        /// Chance.
        None = "none",
        /// Its address: it stays with its node as long as that is well.
        Source = "source",
    }
}
