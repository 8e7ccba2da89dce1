"""Pairwise streams: the same bytes at both parties, never twice, and nothing the third can know."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from ditto.runtime.protocols.prf import KEY_BYTES, Stream, agree_streams, fresh_stream
from ditto.runtime.transport.channel import ChannelError, run_in_threads

KEY = bytes(range(16))


def test_a_stream_is_aes_128_in_counter_mode_from_counter_zero():
    blocks = b"".join(counter.to_bytes(16, "big") for counter in range(8))
    cipher = Cipher(algorithms.AES128(KEY), modes.ECB()).encryptor()
    assert Stream(KEY).take(128).tobytes() == cipher.update(blocks)


@given(st.lists(st.integers(0, 3000), max_size=20))
def test_pieces_follow_each_other_without_gap_or_overlap(sizes):
    stream = Stream(KEY)
    pieces = [stream.take(size) for size in sizes]
    assert [piece.size for piece in pieces] == sizes
    assert b"".join(piece.tobytes() for piece in pieces) == Stream(KEY).take(sum(sizes)).tobytes()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 65535, 65536, 65537, 300_000])
def test_large_draws_are_one_sequence(size):
    stream = Stream(KEY)
    assert np.array_equal(stream.take(size), Stream(KEY).take(300_000)[:size])
    assert np.array_equal(stream.take(9), Stream(KEY).take(size + 9)[size:])


def test_bytes_are_uniform():
    counts = np.bincount(Stream(KEY).take(1 << 20), minlength=256)
    expected = (1 << 20) / 256
    assert chi2.sf(((counts - expected) ** 2 / expected).sum(), 255) > 1e-6


def test_each_pair_shares_one_stream_and_no_two_pairs_do():
    def party(channel):
        streams = agree_streams(channel.rank, channel)
        assert (channel.messages_sent, channel.bytes_sent) == (1, KEY_BYTES)
        return {other: stream.take(64).tobytes() for other, stream in streams.items()}

    parties = run_in_threads(party)
    drawn = {}
    for rank, streams in enumerate(parties):
        assert set(streams) == {0, 1, 2} - {rank}
        for other, data in streams.items():
            assert drawn.setdefault(frozenset((rank, other)), data) == data
    assert len(set(drawn.values())) == 3


def test_keys_are_fresh_each_time():
    def party(channel):
        return [
            agree_streams(channel.rank, channel)[(channel.rank + 1) % 3].take(16).tobytes() for _ in range(5)
        ]

    drawn = [data for party_data in run_in_threads(party) for data in party_data]
    drawn += [fresh_stream().take(16).tobytes() for _ in range(5)]
    assert len(set(drawn)) == 20


def test_a_peer_that_sends_no_key_is_an_error():
    class Broken:
        def send(self, dst_rank, message):
            pass

        def recv(self, src_rank):
            return b"short"

    with pytest.raises(ChannelError, match="party 2 sent 5 bytes where a key has 16"):
        agree_streams(0, Broken())
