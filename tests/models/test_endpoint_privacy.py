"""on_premises: nothing goes to another host, however its name is written."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneworthy.errors import ModelError, PrivacyRefused
from tuneworthy.models.openai_compatible import is_private, open_endpoint
from tuneworthy.usecase import ModelChoice

OWN = [
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]
v4, v6 = st.ip_addresses(v=4), st.ip_addresses(v=6)
own = st.sampled_from(OWN).flatmap(lambda network: st.ip_addresses(network=network))


def opened(url, privacy="on_premises"):
    return open_endpoint(ModelChoice(base="tiny", endpoint=url), privacy=privacy)


def url_of(address):
    return f"http://[{address}]:8000/v1" if address.version == 6 else f"http://{address}:8000/v1"


@given(own)
def test_addresses_of_this_machine_and_of_private_networks_are_allowed(address):
    assert opened(url_of(address))


@given(v4 | v6)
def test_any_other_address_is_refused(address):
    mapped = getattr(address, "ipv4_mapped", None)
    here = (mapped or address).is_unspecified  # 0.0.0.0 and :: are this machine, in every spelling
    here = here or any(address in network for network in OWN if network.version == address.version)
    if here or (mapped is not None and any(mapped in network for network in OWN if network.version == 4)):
        assert opened(url_of(address))
        return
    with pytest.raises(PrivacyRefused, match="on_premises") as refused:
        opened(url_of(address))
    assert refused.value.next


@given(v4.filter(lambda address: address.is_global))
def test_a_public_address_is_refused_in_every_spelling(address):
    number = int(address)
    spellings = [str(number), hex(number), oct(number).replace("0o", "0"), f"[::ffff:{address}]"]
    for spelling in [*spellings, f"{address!s}.", f"user@{address}", f"127.0.0.1@{address}"]:
        with pytest.raises(ModelError):
            opened(f"http://{spelling}/v1")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1",
        "http://LOCALHOST/v1",
        "https://127.0.0.1/v1",
        "http://127.9.9.9:1/v1",
        "http://[::1]:8000/v1",
        "http://[::ffff:10.0.0.1]/v1",
        "http://0.0.0.0:8000/v1",
        "http://10.1.2.3/v1",
        "http://192.168.0.7/v1",
        "http://[fd00::7]/v1",
        "http://gpu-box:8000/v1",
        "http://my_model/v1",
        "http://models.internal/v1",
        "http://gpu.fritz.lan/v1",
        "http://box.local/v1",
        "http://a.home.arpa/v1",
        "http://app.localhost:3000/v1",
    ],
)
def test_own_hosts(url):
    assert opened(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "http://8.8.8.8/v1",
        "http://127.0.0.1.evil.com/v1",
        "http://localhost.evil.com/v1",
        "http://evil.com/localhost",
        "http://evil.com?localhost",
        "http://evil.com#.localhost",
        "http://10.evil.com/v1",
        "http://evil.xlocal/v1",
        "http://evil-internal.com/v1",
        "http://2130706433/v1",
        "http://134744072/v1",
        "http://0x08080808/v1",
        "http://8.8/v1",
        "http://10.1/v1",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/v1",
        "http://100.64.0.1/v1",
        "http://192.0.2.1/v1",
        "http://198.18.0.1/v1",
        "http://255.255.255.255/v1",
        "http://224.0.0.1/v1",
        "http://[::ffff:8.8.8.8]/v1",
        "http://[64:ff9b::808:808]/v1",
        "http://[2002:808:808::]/v1",
        "http://[2001:4860:4860::8888]/v1",
        "http://[2001::808:808]/v1",
        "http://xn--80ak6aa92e.com/v1",
        "http://evil。com/v1",
    ],
)
def test_other_hosts_are_refused(url):
    with pytest.raises(PrivacyRefused, match="on_premises"):
        opened(url)


@pytest.mark.parametrize(
    "url", ["http://010.0.0.1/v1", "http://１２７.0.0.1.evil.com/v1", "http://evil.com\\.local/v1"]
)
def test_hosts_that_no_two_readers_read_alike_are_refused(url):
    with pytest.raises(ModelError):
        opened(url)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://8.8.8.8/v1"])
@pytest.mark.parametrize("privacy", ["eu_cloud", "any"])
def test_other_postures_allow_them(url, privacy):
    assert opened(url, privacy)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "ftp://localhost/v1",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "//localhost",
        "http://[::1/v1",
        "http://localhost:99999/v1",
        "http://localhost:x/v1",
        "http://localhost/\n/v1",
    ],
)
def test_what_is_no_url_is_refused_before_anything_is_asked(url):
    with pytest.raises(ModelError, match="is not a URL") as refused:
        opened(url, "any")
    assert refused.value.next


@pytest.mark.parametrize(
    "url", ["http://me:geheim@localhost/v1", "http://geheim@localhost/v1", "http://localhost:80@evil.com/"]
)
def test_a_name_or_password_in_the_url_is_refused_without_being_shown(url):
    with pytest.raises(ModelError, match="api_key_env") as refused:
        opened(url, "any")
    assert "geheim" not in str(refused.value)


@given(st.text(max_size=30))
def test_any_text_as_a_host_is_judged(host):
    assert is_private(host) in (True, False)
    with suppress(ModelError):
        opened(f"http://{host}/v1")
