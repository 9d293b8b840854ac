//! The system bus, and the calls that firewalld understands.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use faros_firewall::Settings;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use zbus::{
    Connection, DynamicType, Message, MessageStream, OwnedObjectPath, OwnedVariant, connection::Builder, fdo,
};

use crate::{Error, Kind, NAME, settings};

/// How long firewalld may take; a reload with many zones of others takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is in the kernel, and what is on disk: the object, and how its interfaces begin.
pub(crate) const MAIN: &Object = &Object("/org/fedoraproject/FirewallD1", NAME);
pub(crate) const CONFIG: &Object = &Object(
    "/org/fedoraproject/FirewallD1/config",
    "org.fedoraproject.FirewallD1.config",
);

pub(crate) struct Object(&'static str, &'static str);

/// A connection to the system bus.
pub struct Bus {
    connection: Connection,
    /// Another number whenever firewalld came, went, or told of a change.
    told: watch::Receiver<u64>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}

fn lost(error: zbus::Error) -> Error {
    Error::Bus(Box::new(error))
}

impl Bus {
    /// Connects to the bus at a D-Bus address, such as `unix:path=/run/dbus/system_bus_socket`.
    ///
    /// # Errors
    /// If there is none.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        let builder = Builder::address(address).method_timeout(PATIENCE);
        let connection = builder.build().await.map_err(lost)?;
        let comes_and_goes =
            format!("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{NAME}'");
        let changes = format!("type='signal',sender='{NAME}'");
        let listen = async |rule: &str| {
            MessageStream::for_match_rule(rule, &connection, None)
                .await
                .map_err(lost)
        };
        let mut signals =
            futures_util::stream::select(listen(&comes_and_goes).await?, listen(&changes).await?);
        let (tell, told) = watch::channel(0);
        // A reload tells of hundreds of changes. Were they left in their queue until somebody looks, the answers
        // behind them would wait as well.
        tokio::spawn(async move {
            while let Some(Ok(_)) = signals.next().await {
                if tell.is_closed() {
                    return;
                }
                tell.send_modify(|n: &mut u64| *n = n.wrapping_add(1));
            }
        });
        Ok(Self { connection, told })
    }

    /// Ends when firewalld came, went, or told of a change.
    ///
    /// # Errors
    /// If the bus is gone.
    pub async fn changed(&mut self) -> Result<(), Error> {
        let gone = |_| lost(zbus::Error::Failure("it is gone".to_owned()));
        self.told.changed().await.map_err(gone)
    }

    /// Forgets what was told so far.
    pub fn forget(&mut self) {
        self.told.mark_unchanged();
    }

    /// The process that owns a name, if one does.
    pub(crate) async fn peer(&self, name: &str) -> Result<Option<Peer<'_>>, Error> {
        let bus = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let asked = self
            .connection
            .call_method(Some(bus), path, Some(bus), "GetNameOwner", &name)
            .await;
        match asked {
            Ok(answer) => {
                let owner = answer.body().deserialize::<String>().map_err(lost)?;
                Ok(Some(Peer { bus: self, owner }))
            }
            Err(zbus::Error::FDO(error)) if matches!(*error, fdo::Error::NameHasNoOwner(_)) => Ok(None),
            Err(error) => Err(lost(error)),
        }
    }
}

/// The firewalld that runs.
pub(crate) struct Peer<'a> {
    bus: &'a Bus,
    owner: String,
}

impl Peer<'_> {
    async fn call<B: serde::Serialize + DynamicType>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
        what: impl FnOnce() -> String,
    ) -> Result<Message, Error> {
        let owner = Some(self.owner.as_str());
        let asked = self
            .bus
            .connection
            .call_method(owner, path, Some(interface), method, body);
        asked.await.map_err(|source| Error::Refused {
            what: what(),
            source: Box::new(source),
        })
    }

    pub(crate) async fn version(&self) -> Result<String, Error> {
        let what = || "to tell its version".to_owned();
        let properties = "org.freedesktop.DBus.Properties";
        let answer = self
            .call(MAIN.0, properties, "Get", &(NAME, "version"), what)
            .await?;
        let version = answer.body().deserialize::<OwnedVariant>().map_err(lost)?;
        Ok(String::try_from(version).unwrap_or_default())
    }

    pub(crate) async fn reload(&self) -> Result<(), Error> {
        let what = || "a reload".to_owned();
        self.call(MAIN.0, MAIN.1, "reload", &(), what).await.map(drop)
    }

    /// The zone of an interface in the kernel; empty if it is in none.
    pub(crate) async fn zone_now(&self, interface: &str) -> Result<String, Error> {
        let what = || format!("to tell the zone of {interface}");
        let zones = "org.fedoraproject.FirewallD1.zone";
        let answer = self
            .call(MAIN.0, zones, "getZoneOfInterface", &interface, what)
            .await?;
        answer.body().deserialize().map_err(lost)
    }

    /// The zone of an interface on disk; empty if it is in none, several with spaces between.
    pub(crate) async fn zone_permanently(&self, interface: &str) -> Result<String, Error> {
        let what = || format!("to tell the permanent zone of {interface}");
        let answer = self
            .call(CONFIG.0, CONFIG.1, "getZoneOfInterface", &interface, what)
            .await?;
        answer.body().deserialize().map_err(lost)
    }

    pub(crate) async fn change_zone(&self, interface: &str, zone: &str) -> Result<(), Error> {
        let what = || format!("to move {interface} to {zone}");
        let zones = "org.fedoraproject.FirewallD1.zone";
        let body = (zone, interface);
        let answer = self.call(MAIN.0, zones, "changeZoneOfInterface", &body, what);
        answer.await.map(drop)
    }

    /// The names of all there are, of ours and of others.
    pub(crate) async fn names(&self, object: &Object, kind: Kind) -> Result<BTreeSet<String>, Error> {
        let Object(path, interface) = object;
        let (interface, method) = match (*path == MAIN.0, kind) {
            (true, Kind::Zone) => (format!("{interface}.zone"), "getZones"),
            (true, Kind::Policy) => (format!("{interface}.policy"), "getPolicies"),
            (false, Kind::Zone) => ((*interface).to_owned(), "getZoneNames"),
            (false, Kind::Policy) => ((*interface).to_owned(), "getPolicyNames"),
        };
        let what = || format!("to list what it has of the kind {}", kind.as_str());
        let answer = self.call(path, &interface, method, &(), what).await?;
        let names = answer.body().deserialize::<Vec<String>>().map_err(lost)?;
        Ok(names.into_iter().collect())
    }

    pub(crate) async fn path_of(&self, kind: Kind, name: &str) -> Result<OwnedObjectPath, Error> {
        let method = match kind {
            Kind::Zone => "getZoneByName",
            Kind::Policy => "getPolicyByName",
        };
        let what = || format!("to show the {} {name}", kind.as_str());
        let answer = self.call(CONFIG.0, CONFIG.1, method, &name, what).await?;
        answer.body().deserialize().map_err(lost)
    }

    pub(crate) async fn settings_now(&self, kind: Kind, name: &str) -> Result<Settings, Error> {
        let method = match kind {
            Kind::Zone => "getZoneSettings2",
            Kind::Policy => "getPolicySettings",
        };
        let interface = format!("{NAME}.{}", kind.as_str());
        let what = || format!("to show the {} {name}", kind.as_str());
        let answer = self.call(MAIN.0, &interface, method, &name, what).await?;
        settings_in(&answer)
    }

    pub(crate) async fn set_now(&self, kind: Kind, name: &str, settings: &Settings) -> Result<(), Error> {
        let method = match kind {
            Kind::Zone => "setZoneSettings2",
            Kind::Policy => "setPolicySettings",
        };
        let interface = format!("{NAME}.{}", kind.as_str());
        let what = || format!("to change the {} {name}", kind.as_str());
        let body = (name, settings::changeable(settings));
        self.call(MAIN.0, &interface, method, &body, what).await.map(drop)
    }

    pub(crate) async fn add(&self, kind: Kind, name: &str, settings: &Settings) -> Result<(), Error> {
        let method = match kind {
            Kind::Zone => "addZone2",
            Kind::Policy => "addPolicy",
        };
        let what = || format!("the {} {name}", kind.as_str());
        let body = (name, settings::whole(settings));
        self.call(CONFIG.0, CONFIG.1, method, &body, what).await.map(drop)
    }

    pub(crate) async fn settings_permanently(
        &self,
        kind: Kind,
        name: &str,
        path: &OwnedObjectPath,
    ) -> Result<Settings, Error> {
        let method = match kind {
            Kind::Zone => "getSettings2",
            Kind::Policy => "getSettings",
        };
        let interface = format!("{}.{}", CONFIG.1, kind.as_str());
        let what = || format!("to show the permanent {} {name}", kind.as_str());
        let answer = self.call(path.as_str(), &interface, method, &(), what).await?;
        settings_in(&answer)
    }

    pub(crate) async fn update(
        &self,
        kind: Kind,
        name: &str,
        path: &OwnedObjectPath,
        settings: &Settings,
    ) -> Result<(), Error> {
        let method = match kind {
            Kind::Zone => "update2",
            Kind::Policy => "update",
        };
        let interface = format!("{}.{}", CONFIG.1, kind.as_str());
        let what = || format!("to change the permanent {} {name}", kind.as_str());
        let body = settings::whole(settings);
        let answer = self.call(path.as_str(), &interface, method, &body, what);
        answer.await.map(drop)
    }

    pub(crate) async fn remove(&self, kind: Kind, name: &str, path: &OwnedObjectPath) -> Result<(), Error> {
        let interface = format!("{}.{}", CONFIG.1, kind.as_str());
        let what = || format!("to remove the {} {name}", kind.as_str());
        let answer = self.call(path.as_str(), &interface, "remove", &(), what);
        answer.await.map(drop)
    }
}

fn settings_in(answer: &Message) -> Result<Settings, Error> {
    let body = answer.body();
    let found = body
        .deserialize::<HashMap<String, OwnedVariant>>()
        .map_err(lost)?;
    Ok(settings::read(&found))
}
