// SPDX-License-Identifier: GPL-2.0
//! What else there is in a network namespace that a tunnel comes into: where
//! other interfaces are, traffic can go around it.

use crate::quick::{File, Table, MAIN_TABLE};
use crate::rtnetlink::{Link, Route, Rtnetlink, LOOPBACK};
use ipnet::IpNet;
use wg::error::{escape, warn, Failure, Result};

/// The routes that are in the way of a tunnel, and a warning about what else is
/// there.
struct Found<'a> {
    in_the_way: Vec<&'a Route>,
    around: Option<String>,
}

/// Looks around before the interface is made. Fails if there are routes in its
/// way, unless they are to be replaced; then it removes them.
pub fn make_way(file: &File, replace: bool) -> Result<()> {
    let fail = |refused| crate::refused("Unable to list interfaces and routes", &refused);
    let mut netlink = Rtnetlink::open()?;
    let links = netlink.links().map_err(fail)?;
    let routes = netlink.routes().map_err(fail)?;
    let wanted = match file.table {
        Table::Number(MAIN_TABLE) => crate::tunnel::networks(&file.change),
        _ => return Ok(()),
    };
    let wanted: Vec<IpNet> = wanted.into_iter().collect();
    let found = judge(&links, &routes, &wanted);
    if let (Some(route), false) = (found.in_the_way.first(), replace) {
        return Err(refuse(route, &links));
    }
    for route in found.in_the_way {
        netlink.delete_route(route).map_err(|refused| {
            crate::refused(
                format_args!("Unable to remove the route to {}", route.network),
                &refused,
            )
        })?;
    }
    if let Some(text) = found.around {
        warn(text);
    }
    Ok(())
}

fn judge<'a>(links: &[Link], routes: &'a [Route], wanted: &[IpNet]) -> Found<'a> {
    let main = || routes.iter().filter(|route| route.table == MAIN_TABLE);
    let in_the_way: Vec<_> = main()
        .filter(|route| wanted.contains(&route.network) && route.link != Some(LOOPBACK))
        .collect();
    // Who wants a part of all networks in the tunnel wants the rest elsewhere.
    let takes_all = wanted.iter().any(|network| network.prefix_len() == 0);
    let others = links
        .iter()
        .filter(|link| link.index != LOOPBACK && link.up);
    let told: Vec<_> = others
        .map(|link| {
            let networks: Vec<_> = main()
                .filter(|route| route.link == Some(link.index) && !wanted.contains(&route.network))
                .map(|route| match route.network.prefix_len() {
                    0 => format!(
                        "all of {}",
                        if route.network.addr().is_ipv4() {
                            "IPv4"
                        } else {
                            "IPv6"
                        }
                    ),
                    _ => route.network.to_string(),
                })
                .collect();
            let name = escape(link.name.as_bytes());
            if networks.is_empty() {
                name
            } else {
                format!("{name} ({})", networks.join(", "))
            }
        })
        .collect();
    Found {
        in_the_way,
        around: (takes_all && !told.is_empty())
            .then(|| format!("traffic can go around the tunnel by {}", told.join(", "))),
    }
}

fn refuse(route: &Route, links: &[Link]) -> Failure {
    let by = links
        .iter()
        .find(|link| Some(link.index) == route.link)
        .map_or(String::new(), |link| {
            format!(" by {}", escape(link.name.as_bytes()))
        });
    Failure::new(format!("There is a route to {} already{by}", route.network))
        .and("The tunnel is meant for a network without any other, such as that of")
        .and("`podman run --network none'; --replace-default removes such routes first.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.into(),
            mtu: 1500,
            up: true,
        }
    }

    #[test]
    fn what_is_in_the_way() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let links = [link(1, "lo"), link(2, "tap0")];
        let routes = [
            Route::to(net("0.0.0.0/0"), 2),
            Route::to(net("10.0.2.0/24"), 2),
            Route::to(net("::/0"), 2),
        ];
        let found = judge(&links, &routes, &[net("0.0.0.0/0")]);
        assert_eq!(found.in_the_way.len(), 1);
        assert!(refuse(found.in_the_way[0], &links).lines[0].contains("0.0.0.0/0 already by tap0"));
        assert_eq!(
            found.around.unwrap(),
            "traffic can go around the tunnel by tap0 (10.0.2.0/24, all of IPv6)"
        );
        let found = judge(&links, &routes, &[net("10.9.0.0/24")]);
        assert!(found.in_the_way.is_empty() && found.around.is_none());
        let found = judge(&links[..1], &[], &[net("::/0")]);
        assert!(found.in_the_way.is_empty() && found.around.is_none());
    }
}
