//! The node settings that the stand-in knows. As in CrateDB, an unknown one ends the start.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::rules::Rules;
use crate::engine::{Value, setting_at_start};

const PORTS: RangeInclusive<u16> = 4200..=4300;
const TRANSPORT_PORTS: RangeInclusive<u16> = 4300..=4400;
const PSQL_PORTS: RangeInclusive<u16> = 5432..=5532;

/// Accepted without effect: they tune or place what the stand-in does not have.
const WITHOUT_EFFECT: [&str; 27] = [
    "bootstrap.memory_lock",
    "cluster.election.initial_timeout",
    "cluster.graceful_stop.min_availability",
    "cluster.info.update.interval",
    "cluster.max_shards_per_node",
    "cluster.routing.allocation.cluster_concurrent_rebalance",
    "cluster.routing.allocation.disk.threshold_enabled",
    "cluster.routing.allocation.disk.watermark.flood_stage",
    "cluster.routing.allocation.disk.watermark.high",
    "cluster.routing.allocation.disk.watermark.low",
    "cluster.routing.allocation.node_concurrent_recoveries",
    "cluster.routing.allocation.node_initial_primaries_recoveries",
    "discovery.initial_state_timeout",
    "gateway.expected_data_nodes",
    "gateway.recover_after_data_nodes",
    "gateway.recover_after_time",
    "http.cors.allow-origin",
    "http.cors.enabled",
    "http.max_content_length",
    "lang.js.enabled",
    "node.max_local_storage_nodes",
    "node.store.allow_mmap",
    "path.data",
    "path.logs",
    "path.repo",
    "stats.enabled",
    "udc.enabled",
];

/// The settings, as far as the stand-in uses them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) cluster_name: String,
    pub(super) node_name: String,
    pub(super) host: IpAddr,
    pub(super) ports: RangeInclusive<u16>,
    /// The ports where other nodes join.
    pub(super) transport: RangeInclusive<u16>,
    /// `discovery.type=single-node`, or this node is the first of those that may be the first master.
    pub(super) leads: bool,
    pub(super) psql_ports: RangeInclusive<u16>,
    /// The address for it; that of HTTP by default.
    pub(super) transport_host: Option<IpAddr>,
    /// Addresses where the first node is looked for, and the interval.
    pub(super) seeds: Option<(Seeds, Duration)>,
    /// The ways in for clients.
    pub(super) rules: Rules,
    pub(super) ssl: Ssl,
    /// Settings that `sys.cluster` shows.
    pub(super) shown: BTreeMap<String, Value>,
}

/// The source of the nodes' addresses.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Seeds {
    /// `discovery.seed_providers=file`: this file, which is read again each time.
    File(PathBuf),
    /// `discovery.seed_hosts`.
    Hosts(Vec<String>),
}

impl Settings {
    /// Reads the settings. Inside an image the default is every address, as in the official one; else loopback.
    pub(super) fn read(given: &[String], is_image: bool) -> Result<Self, String> {
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut settings = Self {
            cluster_name: "crate".into(),
            node_name: "Piz Simulato".into(),
            host: if is_image { everywhere } else { Ipv4Addr::LOCALHOST.into() },
            ports: PORTS,
            transport: TRANSPORT_PORTS,
            transport_host: None,
            leads: true,
            seeds: None,
            psql_ports: PSQL_PORTS,
            rules: Rules::default(),
            ssl: Ssl::default(),
            shown: BTreeMap::new(),
        };
        let mut discovery = Discovery::default();
        for setting in given {
            let setting = as_the_shell_reads(setting)?;
            let (key, value) = setting.split_once('=').ok_or_else(|| format!("setting [{setting}] has no value"))?;
            let (key, value) = (key.trim(), value.trim());
            if !discovery.set(key, value)? {
                settings.set(key, value)?;
            }
        }
        discovery.settle(&mut settings)?;
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let refused = |why: &str| Err(format!("setting [{key}] with value [{value}] {why}"));
        match key {
            "cluster.name" => self.cluster_name = value.into(),
            "node.name" => self.node_name = value.into(),
            "network.host" | "http.host" | "network.bind_host" => match host(value) {
                Some(host) => self.host = host,
                None => return refused("is no address of this machine"),
            },
            "transport.host" => match host(value) {
                Some(host) => self.transport_host = Some(host),
                None => return refused("is no address of this machine"),
            },
            "network.publish_host" => {}
            "http.port" => match ports(value) {
                Some(ports) => self.ports = ports,
                None => return refused("is neither a port nor a range of ports"),
            },
            "transport.tcp.port" => match ports(value) {
                Some(ports) => self.transport = ports,
                None => return refused("is neither a port nor a range of ports"),
            },
            "psql.port" => match ports(value) {
                Some(ports) => self.psql_ports = ports,
                None => return refused("is neither a port nor a range of ports"),
            },
            known if known.starts_with(Rules::PREFIX) => {
                if let Err(why) = self.rules.set(&known[Rules::PREFIX.len()..], value) {
                    return refused(why);
                }
            }
            known if known.starts_with("ssl.") => {
                if !self.ssl.set(&known["ssl.".len()..], value) {
                    return refused("is not supported by the embedded engine");
                }
            }
            known => match setting_at_start(known, value) {
                Some(Ok(value)) => drop(self.shown.insert(key.to_owned(), value)),
                _ if WITHOUT_EFFECT.contains(&known) || known.starts_with("node.attr.") => {}
                Some(Err(problem)) => return Err(problem),
                None => return Err(unknown(key)),
            },
        }
        Ok(())
    }
}

/// The settings of encryption.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ssl {
    pub(super) http: bool,
    pub(super) postgres: bool,
    pub(super) keystore: Option<PathBuf>,
}

impl Ssl {
    /// Returns whether the stand-in can do what the setting says.
    fn set(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("http.enabled", "true" | "false") => self.http = value == "true",
            ("psql.enabled", "true" | "false") => self.postgres = value == "true",
            ("keystore_filepath", path) => self.keystore = Some(path.into()),
            _ => return false,
        }
        true
    }
}

/// The settings of discovery, while they are read.
#[derive(Default)]
struct Discovery {
    single: bool,
    masters: Vec<String>,
    file: bool,
    hosts: Vec<String>,
    conf: Option<PathBuf>,
    interval: Option<Duration>,
}

impl Discovery {
    /// Returns whether the setting is one of these.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let refused = |why: &str| Err(format!("setting [{key}] with value [{value}] {why}"));
        match key {
            "discovery.type" if value == "single-node" => self.single = true,
            "discovery.seed_providers" if value == "file" => self.file = true,
            "discovery.type" | "discovery.seed_providers" => return refused("is not supported by the embedded engine"),
            "cluster.initial_master_nodes" => self.masters = value.split(',').map(str::to_owned).collect(),
            "discovery.seed_hosts" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "path.conf" => self.conf = Some(value.into()),
            "discovery.find_peers_interval" => match humantime::parse_duration(value) {
                Ok(interval) => self.interval = Some(interval),
                Err(_) => return refused("is no time"),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn settle(self, settings: &mut Settings) -> Result<(), String> {
        if self.single && !self.masters.is_empty() {
            return Err(
                "setting [cluster.initial_master_nodes] is not allowed when [discovery.type] is [single-node]".into()
            );
        }
        settings.leads = self.masters.first().is_none_or(|first| *first == settings.node_name);
        let interval = self.interval.unwrap_or(Duration::from_secs(1));
        if self.file {
            let conf = self.conf.ok_or("[discovery.seed_providers] is [file], and there is no [path.conf]")?;
            settings.seeds = Some((Seeds::File(conf.join("unicast_hosts.txt")), interval));
        } else if !self.hosts.is_empty() {
            settings.seeds = Some((Seeds::Hosts(self.hosts), interval));
        }
        Ok(())
    }
}

/// CrateDB's words.
fn unknown(key: &str) -> String {
    format!(
        "unknown setting [{key}] please check that any required plugins are installed, or check the breaking changes \
         documentation for removed settings"
    )
}

/// Reads a setting as CrateDB's start script does, which puts it between double quotes and has the shell read it again.
fn as_the_shell_reads(setting: &str) -> Result<String, String> {
    let (mut read, mut rest) = (String::new(), setting.chars());
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some(escaped @ ('\\' | '"' | '$' | '`'))) => {
                read.push(escaped);
                rest.next();
            }
            ('"' | '$' | '`', _) => return Err(format!("the shell of the start script would expand [{setting}]")),
            _ => read.push(c),
        }
    }
    Ok(read)
}

/// `_local_` and the like; a list means more than one interface, and so all of them.
fn host(value: &str) -> Option<IpAddr> {
    match value {
        "_local_" | "_local:ipv4_" | "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        "_local:ipv6_" => Some(Ipv6Addr::LOCALHOST.into()),
        "_site_" | "_global_" => Some(Ipv4Addr::UNSPECIFIED.into()),
        list if list.contains(',') => {
            let all = list.split(',').map(|one| host(one.trim())).collect::<Option<Vec<_>>>()?;
            let same = all.windows(2).all(|pair| pair[0] == pair[1]);
            Some(if same { all[0] } else { Ipv4Addr::UNSPECIFIED.into() })
        }
        address => address.trim_matches(['[', ']']).parse().ok(),
    }
}

fn ports(value: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = value.split_once('-').unwrap_or((value, value));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[&str]) -> Result<Settings, String> {
        Settings::read(&settings.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), false)
    }

    #[test]
    fn takes_what_the_container_and_process_recipes_say() {
        let settings = read(&[
            "cluster.name=tests",
            "node.name=n1",
            "network.host=127.0.0.1",
            "http.port=0",
            "psql.port=0",
            "transport.tcp.port=0",
            "discovery.type=single-node",
            "auth.host_based.enabled=false",
            "cluster.routing.allocation.disk.threshold_enabled=false",
            "path.data=/tmp/x",
        ]);
        let settings = settings.unwrap();
        assert_eq!((settings.cluster_name.as_str(), settings.ports, settings.psql_ports), ("tests", 0..=0, 0..=0));
    }

    #[test]
    fn refuses_what_is_unknown_or_out_of_reach() {
        assert!(read(&["licence=1"]).unwrap_err().starts_with("unknown setting [licence] please check"));
        assert_eq!(read(&["node.name"]).unwrap_err(), "setting [node.name] has no value");
        for refused in ["auth.host_based.config.0.method=jwt", "ssl.keystore_password=x", "ssl.transport.mode=on"] {
            assert!(read(&[refused]).unwrap_err().contains("not supported by the embedded engine"), "{refused}");
        }
        assert!(read(&["http.port=high"]).is_err() && read(&["psql.port=-1"]).is_err());
        assert!(read(&["network.host=nowhere.example"]).is_err());
    }

    #[test]
    fn shows_what_it_was_started_with_and_refuses_what_does_not_fit() {
        let shown = read(&["stats.jobs_log_size=7", "lang.js.enabled=true", "udc.enabled=false"]).unwrap().shown;
        let expected = [("stats.jobs_log_size", Value::Int(7)), ("udc.enabled", Value::Bool(false))];
        assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert!(read(&["stats.jobs_log_size=x"]).unwrap_err().starts_with("Failed to parse value [x]"));
    }

    #[test]
    fn the_shell_of_the_start_script_reads_values_once_more() {
        let name = |setting: &str| read(&[setting]).map(|settings| settings.node_name);
        assert_eq!(name(r#"node.name=a\"b\$c\`d\\e\f"#).unwrap(), r#"a"b$c`d\e\f"#);
        for expanded in ["node.name=$HOME", "node.name=`id`", "node.name=a\"b"] {
            assert!(name(expanded).unwrap_err().contains("would expand"), "{expanded}");
        }
    }

    #[test]
    fn the_first_of_several_leads_and_the_others_look_for_it_in_a_file() {
        let of = |name: &str| {
            read(&[
                "cluster.initial_master_nodes=n1,n2",
                "discovery.seed_providers=file",
                "discovery.find_peers_interval=100ms",
                "path.conf=/tmp/conf",
                &format!("node.name={name}"),
            ])
            .unwrap()
        };
        assert!(of("n1").leads && !of("n2").leads && read(&[]).unwrap().leads);
        let file = PathBuf::from("/tmp/conf/unicast_hosts.txt");
        assert_eq!(of("n2").seeds, Some((Seeds::File(file), Duration::from_millis(100))));
        let hosts =
            ["discovery.seed_hosts=127.0.0.1:4300,127.0.0.1:4301", "transport.host=127.0.0.1", "network.host=0.0.0.0"];
        let named = read(&hosts).unwrap();
        let both = ["127.0.0.1:4300", "127.0.0.1:4301"].map(str::to_owned).to_vec();
        assert_eq!(named.seeds, Some((Seeds::Hosts(both), Duration::from_secs(1))));
        assert_eq!((named.transport_host, named.host.is_unspecified()), (Some(Ipv4Addr::LOCALHOST.into()), true));
        for refused in [
            &["discovery.type=zen"][..],
            &["discovery.seed_providers=srv"],
            &["discovery.seed_providers=file"],
            &["discovery.type=single-node", "cluster.initial_master_nodes=a"],
        ] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn the_image_listens_everywhere_unless_told() {
        assert!(Settings::read(&[], true).unwrap().host.is_unspecified());
        assert!(Settings::read(&[], false).unwrap().host.is_loopback());
        assert!(read(&["network.host=_local_,_site_"]).unwrap().host.is_unspecified());
        assert!(read(&["network.host=_local_"]).unwrap().host.is_loopback());
        assert_eq!(read(&["http.port=4200-4210"]).unwrap().ports, 4200..=4210);
    }
}
