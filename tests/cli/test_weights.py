"""`persam weights`: what there is, and where it belongs."""


def test_they_are_listed_in_a_table(persam):
    code, out, _ = persam("weights list")
    assert code == 0
    head, *rows = out.splitlines()
    assert [row.split()[0] for row in rows] == ["nano", "vit_t", "vit_b", "vit_l", "vit_h"]
    start = head.index("ABOUT")
    assert all(row[start - 1] == " " and row[start] != " " for row in rows)
    (vit_h,) = [row for row in rows if row.startswith("vit_h")]
    assert "2565 MB" in vit_h


def test_where_they_belong_is_told(persam, tmp_path, monkeypatch):
    monkeypatch.setenv("PERSAM_CACHE", str(tmp_path))
    assert persam("weights path vit_b") == (0, f"{tmp_path / 'sam_vit_b_01ec64.pth'}\n", "")


def test_what_is_bundled_is_checked_and_need_not_be_fetched(persam):
    code, out, err = persam("weights verify nano")
    assert (code, err) == (0, "")
    assert out.endswith("persam/models/nano.safetensors: the checksum is right\n")
    assert persam("weights fetch nano") == (0, out.replace(": the checksum is right", ""), "")
