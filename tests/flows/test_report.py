from flows.report import run_report


def test_run_report__shows_text_from_outside_as_text() -> None:
    hostile = "delimiter changed from <script>x</script> to | [a](javascript:b) \x1b[31m"
    step = {"step": "train", "n_reused": 0, "keys": ["a"], "reason": hostile, "elapsed_s": 1.0, "size_bytes": 1}
    record = {"name": "demo", "id": "1", "elapsed_s": 1.0, "started_by": hostile, "steps": [step], "scores": {hostile: 0.5}}
    report = run_report(record)
    assert "<" not in report
    assert "\x1b" not in report
    assert report.count("\\[a\\](javascript:b)") == 3
    rows = [line.replace("\\|", "") for line in report.splitlines() if "script" in line and line.startswith("|")]
    assert [row.count("|") for row in rows] == [6, 3]
