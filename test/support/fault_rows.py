"""Every fault that is provoked: what is done, what a consumer sees, and the test that does it.

python test/support/fault_rows.py     # writes docs/faults.md
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from endosfm3d_ros.gates.limits import table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "faults.md"


@dataclass(frozen=True)
class Row:
    """One fault. `test` is `file::name` below test/; empty where it is open."""

    fault: str
    seen: str
    test: str = ""


INPUTS = (
    Row("camera stalls", "WARN `stale` after 0.5 s, ERROR after 2 s; nothing is sent again; clearance withdrawn; recovers with the first image", "nodes/test_faults.py::test_a_stalled_camera_is_a_warning_then_an_error_and_recovers"),
    Row("never any image", "one WARN after 5 s with topic, type and reliability", "nodes/test_faults.py::test_without_any_image_one_warning_names_topic_type_and_reliability"),
    Row("rate falls to a half, to a fifth", "WARN, ERROR", "nodes/test_health.py::test_a_camera_that_slows_down"),
    Row("data too short, wrong step, 0x0", "rejected and counted, next image answered", "nodes/test_faults.py::test_malformed_images_are_counted_and_nothing_breaks"),
    Row("encodings, usual and unknown", "the usual ones work, others are refused once with what is accepted", "nodes/test_faults.py::test_encodings"),
    Row("another size in mid-stream", "calibration follows, depth stays right", "nodes/test_faults.py::test_the_image_size_may_change_in_mid_stream"),
    Row("camera_info missing, zero or NaN", "self-estimated camera, said in the status", "nodes/test_faults.py::test_calibration_that_is_absent_or_unusable"),
    Row("network answers NaN", "weights are refused, the next back end runs and says so", "engines/test_obtain.py::test_weights_that_answer_nan_are_unusable"),
    Row("black, white, red, fogged pictures", "pose held as LOST, confidence near 0, map not taught", "nodes/test_faults.py::test_an_image_without_content_holds_the_pose_and_loses_confidence"),
    Row("stamps go back, repeat, jump by an hour", "a new scene, or counted; pairs are not starved", "nodes/test_faults.py::test_a_looping_bag_starts_a_new_scene_and_starves_nothing"),
    Row("simulated time that stands still", "no delay is learnt, no division by zero", "gates/test_delay.py::test_simulated_time_that_does_not_run_yet_tells_nothing"),
    Row("a stage crashes", "ERROR with the reason; the third in a row deactivates", "nodes/test_faults.py::test_a_crash_in_a_stage_is_reported_and_three_deactivate"),
    Row("engine file empty, cut, flipped, foreign; folder read-only; disk full; two builders", "rebuilt, or one sentence", "engines/test_cache.py::test_damaged_file_is_rebuilt"),
    Row("no GPU", "configure fails with the name, or `allow_cpu`", "nodes/test_configuring.py::test_cuda_that_is_missing_is_one_sentence"),
    Row("memory runs short", "less detail, then ERROR; the process lives", "faults/test_node_watches_itself.py::test_a_node_over_its_limit_says_so_and_gives_up_detail"),
    Row("soak at 30 Hz, resets", "memory, threads and descriptors stay (slow)", "faults/test_series.py::test_a_soak_at_30_hz_keeps_memory_threads_and_descriptors"),
    Row("slow machine, slow listener", "frames dropped and counted, the newest one wins", "pipeline/test_live.py::test_a_slow_pipeline_works_on_the_latest_frame"),
    Row("SIGINT", "exit code 0", "nodes/test_outputs.py::test_sigint_ends_the_node_with_exit_code_0"),
    Row("kill -9 and start again", "first output in seconds, nothing left behind (slow)", "faults/test_series.py::test_kills_leave_nothing_and_cost_seconds"),
    Row("lifecycle up and down", "no memory, no thread (slow)", "faults/test_series.py::test_lifecycle_loops_take_no_memory"),
    Row("parameters out of range, unknown, late", "refused with the reason", "nodes/test_faults.py::test_wrong_parameters_are_refused_with_a_reason"),
    Row("frame_id with slash, empty, changing", "stripped, replaced, refused", "nodes/test_faults.py::test_frame_ids"),
    Row("eyes exchanged from the start", "ERROR, no depth", "nodes/test_faults.py::test_exchanged_eyes_are_an_error_not_depth"),
    Row("TF of others, right and rogue", "never blocks; the map goes below the camera only where that is confirmed", "faults/test_rogue_tf.py::test_over_dds_a_rogue_changes_nothing_for_good"),
    Row("tool leaves the view", "marker DELETE, last invalid clearance", "nodes/test_scene.py::test_a_tool_that_left_is_deleted"),
    Row("every stamp answered", "ten paced frames, ten outputs with their stamps", "nodes/test_outputs.py::test_every_output_carries_the_stamp_and_frame_of_its_image"),
    Row("plane at 50 mm through all of ROS", "cloud at 50 mm", "nodes/test_outputs.py::test_a_plane_at_50_mm_is_a_cloud_at_50_mm"),
)  # fmt: skip
TRUTH = (
    Row("images arrive 5 s, 60 s late", "ERROR `late`, no valid clearance, age as it is, grades invalid", "faults/test_untrue_inputs.py::test_late_images_are_said_to_be_late_and_give_no_clearance"),
    Row("sender with another clock, recordings at any pace", "nothing is late; what is assumed is said", "gates/test_delay.py::test_another_clock_makes_nothing_late_and_is_said"),
    Row("same picture with new stamps, left, right or both", "no output at all after 0.5 s, ERROR; recovers by itself", "faults/test_untrue_inputs.py::test_a_frozen_picture_gives_nothing_and_is_said"),
    Row("one eye 0.8 s behind the other", "ERROR with the lag, no output (slow)", "faults/test_untrue_inputs.py::test_an_eye_that_runs_behind_gives_nothing_and_is_said"),
    Row("`tool_mask` frozen while tools move", "ERROR, tools and clearance invalid, poses not trusted", "faults/test_untrue_inputs.py::test_masks_that_do_not_follow_the_picture_give_no_clearance"),
    Row("baseline x1.5 in mid-stream", "ERROR, no output until it is as before", "faults/test_untrue_inputs.py::test_a_baseline_that_changes_in_mid_stream_gives_no_clearance"),
    Row("eyes exchanged in mid-stream", "ERROR, no output", "faults/test_untrue_inputs.py::test_eyes_exchanged_in_mid_stream_give_no_clearance"),
    Row("scale of the depth jumps", "held back until it returns, or 2 s", "gates/test_scenes.py::test_depth_that_jumps_is_held_back_until_it_returns"),
    Row("coverage collapses", "ERROR, depth and clearance invalid", "gates/test_scenes.py::test_coverage_that_collapses_is_doubted_and_published"),
    Row("`depth_in` in millimetres as 32FC1, almost empty, infinite", "refused with numbers until it is in metres", "nodes/test_inputs_live.py::test_depth_in_millimetres_is_an_error_until_it_is_in_metres"),
    Row("kinematics with 5 to 20 mm of noise", "no scale from it", "sfm/test_scale.py::test_a_robot_with_noise_above_its_motion_gives_nothing"),
    Row("kinematics in millimetres", "scale refused, said", "sfm/test_scale.py::test_a_robot_in_millimetres_is_not_believed_and_that_is_said"),
    Row("pose of the robot freezes", "no further measurement", "sfm/test_scale.py::test_a_robot_whose_pose_freezes_gives_nothing_more"),
    Row("poses of another time than the image", "joined by stamp within 40 ms, or none", "nodes/test_stamped_poses.py::test_beyond_the_poses_the_nearest_counts_within_a_limit_and_none_beyond_it"),
    Row("doubtful scale", "the bound of clearance includes it", "scene/test_clearance.py::test_the_bound_includes_the_doubt_about_scale"),
    Row("reset while results are under way", "nothing of the old scene after the withdrawal", "pipeline/test_live.py::test_a_reset_is_a_barrier_for_results"),
    Row("grey pictures", "masks of a network trained on colour are refused, said", "tools/segmentation/test_network.py::test_grey_pictures_are_refused_by_a_network_that_knows_coloured_ones"),
    Row("masks more rarely than images", "those of the network between them", "tools/segmentation/test_topic.py::test_automatic_masks_are_the_streams_own_for_images_that_have_one"),
    Row("first image of a wrong frame_id", "ten images later a new scene with the camera that is there", "nodes/test_assembler.py::test_another_camera_that_is_alone_takes_the_place_of_the_first"),
    Row("right eye silent, refused encoding", "ERROR within 2 s with the reason", "nodes/test_ready.py::test_images_that_give_nothing_are_an_error_with_the_reason"),
    Row("paused, failed, dropped, rejected", "received = processed + dropped + rejected", "faults/test_counters.py::test_every_image_is_counted_once_whatever_becomes_of_it"),
    Row("executor hangs", "ERROR and withdrawal within a second, from a thread of their own", "faults/test_node_watches_itself.py::test_while_the_executor_hangs_the_status_is_an_error"),
    Row("what a consumer keeps", "every message says for how long it holds", "faults/test_untrue_inputs.py::test_what_is_valid_says_for_how_long_and_what_is_not_does_not"),
)  # fmt: skip
NODE = (
    Row("hostile names, pipes and archives for `save_map`, `load_map`", "one sentence; the node lives and answers", "faults/test_services.py::test_files_that_break_a_reader_leave_the_node_alive_and_answering"),
    Row("small file that unpacks to gigabytes: map, JPEG, bag", "refused before it is unpacked", "datasets/test_unpacking.py::test_more_than_was_stated_is_refused_before_it_takes_memory"),
    Row("slow disk", "`still working` after 5 s, the pipeline goes on", "faults/test_services.py::test_slow_work_is_said_to_go_on_and_is_not_begun_twice"),
    Row("full disk", "the old file stays, nothing else", "faults/test_map_files.py::test_a_full_disk_leaves_the_old_file_and_nothing_else"),
    Row("10,000 malformed messages on every input", "no crash, good images answered, counters exact (slow)", "faults/test_series.py::test_malformed_messages_of_every_kind_harm_nothing"),
    Row("6,000 images of other frame_ids", "nine reasons at most", "nodes/test_assembler.py::test_thousands_of_names_take_no_memory"),
    Row("pictures that show nothing, of any shape", "cost their own frame", "pipeline/test_hostile_images.py::test_no_picture_costs_more_than_its_own_frame"),
    Row("bags with flipped bits", "noticed where the bag has checksums, else said", "datasets/test_bag_storage.py::test_a_flipped_bit_is_never_a_wrong_picture"),
    Row("meshes: too large, broken, foreign", "one sentence", "faults/test_model_files.py::test_an_index_beyond_the_vertices_is_a_sentence"),
    Row("TorchScript, ONNX with paths", "refused without an explicit word", "faults/test_model_files.py::test_a_torchscript_program_needs_an_explicit_word"),
    Row("connections to other machines", "none, of any command", "faults/test_telemetry.py::test_no_command_connects_to_another_machine"),
    Row("killed node", "shared memory, meshes and half-written files go at the next start", "faults/test_leftovers.py::test_what_a_killed_process_left_goes_at_the_next_start_and_not_before"),
    Row("killed node with `map_snapshots` and `map_reload`", "goes on with the last whole copy, once the image confirms it", "faults/test_map_snapshots.py::test_a_restarted_node_goes_on_with_the_last_whole_copy"),
    Row("an error begins with `flight_recorder` on", "what led to it is a bag that can be played again", "faults/test_flight_recorder.py::test_an_error_and_a_request_write_what_led_to_them"),
    Row("wrong start: YAML, log level, missing file", "one sentence, exit code 1", "faults/test_parameters_given.py::test_a_wrong_start_is_one_sentence"),
    Row("empty, equal or impossible frame names", "refused", "faults/test_parameters_given.py::test_frames_that_tf_cannot_use_are_refused"),
    Row("launch arguments, two cameras", "one reading of booleans, own names each", "faults/test_launching.py::test_two_cameras_have_their_own_topics_and_frames"),
    Row("five subscribers of everything, one that never reads", "fewer updates a second; not bounded yet"),
    Row("constant delay of a sender whose clock differs by more than ten minutes", "cannot be told from the clock: synchronise clocks"),
    Row("whole lag of both eyes together", "seen by their stamps only"),
)  # fmt: skip
PARTS = {
    "Streams as they should not be": INPUTS,
    "Streams that look well and are not true": TRUTH,
    "Node, files and machine": NODE,
}


def document() -> str:
    """The text of docs/faults.md."""
    lines = [
        "# Faults",
        "",
        "What is done to the node, what a consumer sees then, and the test below `test/` that does it.",
        "This page is written by `python test/support/fault_rows.py`. Rows marked *slow* belong to series that",
        "run for minutes to hours:",
        "",
        "<!-- takes hours; shorter with ENDOSFM3D_SOAK_MINUTES, _RESETS, _LOOPS, _KILLS and _MALFORMED -->",
        "```bash",
        ".venv/bin/python -m pytest test/faults --slow -s",
        "```",
    ]
    for title, rows in PARTS.items():
        lines += ["", f"## {title}", "", "| fault | what a consumer sees | test |", "|---|---|---|"]
        lines += [f"| {r.fault} | {r.seen} | {f'`{r.test}`' if r.test else 'open'} |" for r in rows]
    lines += [
        "",
        "## Limits",
        "",
        "Held against inputs and results before anything is published (`gates/`).",
        "",
        table(),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
