"""What the memory of an accelerator lacks for the tensors of a process."""

from __future__ import annotations

from raysweep.planning.predictions.fit import Room, room_on

GIB = 2**30


def test_a_process_fits_up_to_the_last_byte_and_if_its_number_format_is_there():
    room = Room(GIB, "this machine", has_bf16=False)
    assert room.lack(GIB) == room.lack(0) == "" and room.lack(0, in_bf16=True) == "has neither bf16 nor TF32"
    assert room.lack(2 * GIB) == "has room for 1.0 GiB, and 2.0 GiB are needed"


def test_a_share_of_an_accelerator_has_its_part_of_the_memory_beside_what_each_process_takes():
    whole, half = room_on("A100-40G"), room_on("A100-40G", 0.5)
    assert whole and half and (whole.bytes, half.bytes) == (40 * GIB - GIB // 2, 20 * GIB - GIB // 2)
    assert room_on("A100-40G", 4) == whole, "each process counts with one of its accelerators"
    assert half.lack(20 * GIB) == "has room for 19.5 GiB on a share of 0.5, and 20.0 GiB are needed"


def test_nothing_is_known_of_types_without_a_data_sheet():
    assert room_on("") is None and room_on("own") is None
