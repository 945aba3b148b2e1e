"""Which addresses belong to the public internet."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from millstream.state.http.caution import is_public


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.100.100.200",  # a cloud's own
        "168.63.129.16",  # a cloud's own, in a public range
        "169.254.169.254",
        "192.0.0.192",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "240.0.0.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff0e::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "2002:a00:1::1",  # 10.0.0.1 by 6to4
        "64:ff9b::a00:1",  # 10.0.0.1 by NAT64
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_addresses_inside_are_not(address: str) -> None:
    assert not is_public(ip_address(address))
