"""Weights are downloaded whole or not at all, and read without running code from them."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from callspace.encoders.specs import Weights
from callspace.encoders.weights import cached_weights, fill, read_state
from callspace.errors import CallspaceError, MissingWeightsError

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLSPACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CALLSPACE_OFFLINE", raising=False)


def left_behind(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache" / "weights").glob("*") if not path.name.endswith(".lock"))


def get(server, **options):
    return cached_weights(Weights(server.url, "MIT", **options), "net", pause_s=0.001)


def test_a_file_is_downloaded_once_and_kept(server, tmp_path):
    server.content = CONTENT
    path = get(server, sha256=SUM)
    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "cache" / "weights" / "net-0123.pth"
    assert get(server, sha256=SUM) == path
    assert server.asked == ["all"]


@pytest.mark.parametrize("sha256", [SUM[:8], None])
def test_a_download_that_stops_half_way_is_resumed_where_it_stopped(server, sha256, tmp_path):
    server.content, server.cut_after = CONTENT, [1_000_000, 500_000]
    assert get(server, sha256=sha256).read_bytes() == CONTENT
    assert server.asked[0] == "all"
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in server.asked[1:]]
    assert len(starts) == 2 and 0 < starts[0] <= 1_000_000 < starts[1] <= 1_500_000
    assert [name for name in left_behind(tmp_path) if name.endswith((".partial", ".tag"))] == []


def test_a_later_process_resumes_what_an_earlier_one_began(server, tmp_path):
    server.content, server.cut_after = CONTENT, [700_000, 0, 0, 0]
    with pytest.raises(MissingWeightsError, match="ended after"):
        get(server, sha256=SUM)
    assert left_behind(tmp_path) == [".net-0123.pth.partial", ".net-0123.pth.partial.tag"]
    assert get(server, sha256=SUM).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=700000-"


def test_a_file_that_changed_on_the_server_is_fetched_from_its_start(server):
    server.content, server.cut_after = CONTENT[::-1], [700_000, 0, 0, 0]
    with pytest.raises(MissingWeightsError):
        get(server)
    server.content, server.tag = CONTENT, '"two"'
    assert get(server).read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server):
    server.content, server.cut_after, server.ranges = CONTENT, [700_000], False
    assert get(server, sha256=SUM).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_to_load(server, tmp_path):
    server.content = CONTENT
    with pytest.raises(MissingWeightsError, match="not the published ones"):
        get(server, sha256="0" * 8)
    assert left_behind(tmp_path) == []


def test_a_wrong_file_in_the_cache_is_never_loaded(server, tmp_path):
    placed = tmp_path / "cache" / "weights" / "net-0123.pth"
    placed.parent.mkdir(parents=True)
    placed.write_bytes(CONTENT[:1000])
    with pytest.raises(MissingWeightsError, match="delete it"):
        get(server, sha256=SUM)
    assert server.asked == []


def test_a_file_that_is_not_there_stops_at_once_and_says_what_to_do(server, tmp_path):
    server.statuses = [404]
    with pytest.raises(MissingWeightsError) as caught:
        get(server, sha256=SUM, size_bytes=3_000_000)
    sentence = str(caught.value)
    assert len(server.asked) == 1
    for part in ("'net'", "404", server.url, "3 MB", str(tmp_path / "cache" / "weights" / "net-0123.pth"), "--weights net=FILE"):
        assert part in sentence


def test_a_server_that_stumbles_is_asked_again(server):
    server.content, server.statuses = CONTENT, [503, 500]
    assert get(server, sha256=SUM).read_bytes() == CONTENT


def test_offline_nothing_is_asked_of_the_network(server, monkeypatch):
    monkeypatch.setenv("CALLSPACE_OFFLINE", "1")
    with pytest.raises(MissingWeightsError, match="CALLSPACE_OFFLINE"):
        get(server)
    assert server.asked == []


def test_without_a_server_there_is_a_sentence():
    with pytest.raises(MissingWeightsError, match=r"127\.0\.0\.1 can't be reached"):
        cached_weights(Weights("http://127.0.0.1:9/net.pth", "MIT"), "net", pause_s=0.001)


def test_only_web_addresses_are_opened(tmp_path):
    (tmp_path / "net.pth").write_bytes(b"x")
    with pytest.raises(MissingWeightsError, match="not one of the web"):
        cached_weights(Weights((tmp_path / "net.pth").as_uri(), "MIT"), "net")


class Malicious:
    def __reduce__(self):
        return print, ("this ran",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"weight": Malicious()}, tmp_path / "bad.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"weight": Malicious()}, protocol=2))
    for name in ("bad.pth", "old.pth"):
        with pytest.raises(CallspaceError, match=r"holds more than tensors|is not a torch|can't be read"):
            read_state(tmp_path / name)
    assert "this ran" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_broken_file_gives_a_sentence(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save(nn.Linear(50, 50).state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(nn.Linear(50, 50).state_dict(), path)
    whole = path.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], b"<html>not found</html>"):
        path.write_bytes(broken)
        with pytest.raises(CallspaceError, match="net"):
            read_state(path)


def test_something_else_than_a_state_dict_is_refused(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    with pytest.raises(CallspaceError, match="not a state dict"):
        read_state(tmp_path / "list.pth")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda state: state.pop("0.bias"), "missing 0.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "unexpected extra"),
        (lambda state: state.update({"0.weight": torch.zeros(3, 4)}), r"0.weight is \(3, 4\), not \(2, 4\)"),
        (lambda state: state["0.weight"].fill_(float("nan")), "NaN or infinity in 0.weight"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(change, names):
    network = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = {key: value.clone() + 1 for key, value in before.items()}
    change(state)
    with pytest.raises(CallspaceError, match=names):
        fill(network, state, "net.pth")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_only_the_counters_of_batch_normalisation_may_be_missing():
    network = nn.BatchNorm1d(2)
    state = {key: value + 1 for key, value in network.state_dict().items() if key != "num_batches_tracked"}
    fill(network, state, "net.pth")
    assert torch.equal(network.running_mean, torch.ones(2))
