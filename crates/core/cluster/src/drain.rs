//! Emptying a node: which of its pods are asked to go, which stay, and which nobody would start again elsewhere.
//!
//! As `kubectl drain` decides it. A pod whose budget of disruption holds it is asked again, and stays as long as it is
//! held: whoever wants it gone by force deletes it by hand, and knows what they do.

/// What counts of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its own number: another pod may get its name.
    pub uid: String,
    /// The kind of what made it, and makes it again.
    pub controller: Option<String>,
    /// Whether the node itself runs it, from a file.
    pub is_static: bool,
    /// Whether it has ended.
    pub is_over: bool,
    /// Whether it is on its way out.
    pub is_going: bool,
}

impl Pod {
    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What becomes of it when its node is emptied.
    pub fn when_drained(&self) -> Drained {
        if self.is_static || self.controller.as_deref() == Some("DaemonSet") {
            Drained::Stays
        } else if self.is_going {
            Drained::Going
        } else if self.is_over || self.controller.is_some() {
            Drained::Asked
        } else {
            Drained::Lost
        }
    }
}

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// It belongs to the node, and ends with it.
    Stays,
    /// It is on its way out.
    Going,
    /// It is asked to go; something makes it again elsewhere, or it has ended.
    Asked,
    /// Nothing would make it again.
    Lost,
}

/// What there is to do on a node, and what is in the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drain<'a> {
    /// Pods to ask.
    pub ask: Vec<&'a Pod>,
    /// Pods on their way out.
    pub going: Vec<&'a Pod>,
    /// Pods that nothing would make again.
    pub lost: Vec<&'a Pod>,
}

impl<'a> Drain<'a> {
    /// Of the pods that a node has. `even_lost`: pods that nothing makes again are asked as well.
    pub fn of(pods: &'a [Pod], even_lost: bool) -> Self {
        let mut drain = Self::default();
        for pod in pods {
            match pod.when_drained() {
                Drained::Stays => {}
                Drained::Going => drain.going.push(pod),
                Drained::Lost if !even_lost => drain.lost.push(pod),
                Drained::Asked | Drained::Lost => drain.ask.push(pod),
            }
        }
        drain
    }

    /// Whether the node is empty.
    pub fn is_done(&self) -> bool {
        self.ask.is_empty() && self.going.is_empty() && self.lost.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Pod {
        let controller = name.split_once('-').map(|(kind, _)| kind.to_owned());
        Pod {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: String::new(),
            controller: controller.filter(|kind| !kind.is_empty()),
            is_static: false,
            is_over: false,
            is_going: false,
        }
    }

    #[test]
    fn what_is_made_again_goes_and_what_is_not_is_in_the_way() {
        let over = Pod {
            is_over: true,
            ..pod("bare")
        };
        let going = Pod {
            is_going: true,
            ..pod("ReplicaSet-2")
        };
        let fixed = Pod {
            is_static: true,
            ..pod("Node-etcd")
        };
        let pods = [
            pod("ReplicaSet-1"),
            pod("DaemonSet-proxy"),
            pod("bare"),
            over,
            going,
            fixed,
        ];
        let names = |pods: &[&Pod]| pods.iter().map(|own| own.full_name()).collect::<Vec<_>>();
        let drain = Drain::of(&pods, false);
        assert_eq!(names(&drain.ask), ["shop/ReplicaSet-1", "shop/bare"]);
        assert_eq!(names(&drain.going), ["shop/ReplicaSet-2"]);
        assert_eq!(names(&drain.lost), ["shop/bare"]);
        assert!(!drain.is_done());
        let forced = Drain::of(&pods, true);
        assert!(forced.lost.is_empty() && forced.ask.len() == 3);
        assert!(Drain::of(&pods[1..2], false).is_done());
    }
}
