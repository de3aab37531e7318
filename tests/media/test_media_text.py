"""Reading and cleaning text, and the words of English and Chinese."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.errors import MediaError, SettingError
from salon.media import MediaLimits
from salon.media.text import clean_text, is_chinese, language_of, read_text, stop_words, tokenise


def test_a_utf8_file_is_read_and_its_byte_order_mark_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "钢铁侠 and café".encode())
    assert read_text(path) == "钢铁侠 and café"


def test_bytes_that_are_not_utf8_are_refused_with_their_place_and_a_way_out() -> None:
    with pytest.raises(MediaError, match=r"not valid utf-8 at byte 2.*encoding='gb18030'"):
        read_text(b"ab\xff\xfe")


def test_a_given_encoding_is_used() -> None:
    assert read_text("钢铁侠".encode("gb18030"), encoding="gb18030") == "钢铁侠"
    assert read_text(b"caf\xe9", encoding="latin-1") == "café"


@pytest.mark.parametrize("encoding", ["utf-9", "hex"])
def test_an_encoding_that_does_not_exist_or_is_not_for_text_is_a_setting_error(encoding: str) -> None:
    with pytest.raises(SettingError, match=encoding):
        read_text(b"abc", encoding=encoding)


def test_text_above_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    limits = MediaLimits(max_text_chars=10)
    for size in (11, 10_000):
        with pytest.raises(MediaError, match=r"limit of 10\. Raise MediaLimits\.max_text_chars"):
            read_text(b"a" * size, limits=limits)
    with pytest.raises(MediaError, match="max_text_chars"):
        clean_text("a" * 11, limits=limits)


def test_absent_empty_and_irregular_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for path, reason in [
        (tmp_path / "none", "No such file"), (tmp_path / "empty", "is empty"), (tmp_path, "not a regular file"),
        (Path("a\0b"), "cannot be opened"),
    ]:  # fmt: skip
        with pytest.raises(MediaError, match=reason):
            read_text(path)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<p>Hello&nbsp;<b>wor\u200bld</b></p>", "Hello world"),
        ("schÃ¶n &amp; gut", "schön & gut"),
        ("a<!-- b <i> -->c <script>x < 1 > y</script>d<style>p {}</style>e", "a c d e"),
        ("5 < 6 and 7 > 2", "5 < 6 and 7 > 2"),
        ("x<y and y>z", "x<y and y>z"),
        ('<!DOCTYPE html><DIV class="x">one<br/>two</Div><?xml v?>', "one two"),
        ("一<!-- 永远不关", "一<!-- 永远不关"),
        ("看https://a.b/c?d=1#e这里 www.x.com, ftp://y/z", "看 这里"),
        ("a\x00b\x1bc\ud800d\u202ee", "abcde"),
        ("  many \n\t spaces\u3000here ", "many spaces here"),
        ("family 👩‍👩‍👧", "family 👩‍👩‍👧"),
        ("", ""),
    ],
)
def test_text_is_cleaned(dirty: str, clean: str) -> None:
    assert clean_text(dirty).removesuffix(",").strip() == clean


def test_cleaning_steps_can_be_left_out_and_nfkc_is_an_option() -> None:
    assert clean_text("<b>x</b>", html_tags=False) == "<b>x</b>"
    assert "https://a.b" in clean_text("see https://a.b", urls=False)
    assert clean_text("① ﬁx", form="NFKC") == "1 fix"
    assert clean_text("①") == "①"


@settings(max_examples=150)
@given(st.text(alphabet=st.sampled_from("<>!-/&;ascriptyle ahtps:w.x中\u200b\x00é"), max_size=200))
def test_cleaning_never_fails_and_leaves_single_spaces(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned == " ".join(cleaned.split())
    assert "\x00" not in cleaned


@pytest.mark.parametrize("piece", ["<script>", "<!--", "<", "<a ", "&lt;", "http://", "www.", "'a"])
def test_hostile_repeats_are_cleaned_in_linear_time(piece: str) -> None:
    start = time.perf_counter()
    clean_text(piece * (100_000 // len(piece)))
    tokenise(piece * 10_000, "en")
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat sat.", "en"), ("相貌平平的21岁女孩", "zh"), ("Iron Man 钢铁侠", "zh"), ("これは日本語の本", "other"),
        ("Привет", "other"), ("2001 ...", "other"), ("", "other"), ("A long English sentence, one 字", "en"),
    ],
)  # fmt: skip
def test_the_language_is_told_by_the_letters(text: str, language: str) -> None:
    assert language_of(text) == language
    assert is_chinese(text) == (language == "zh")


def test_english_words_keep_inner_apostrophes_and_lose_punctuation() -> None:
    assert tokenise("The quick, don’t-stop 3D_movie!") == ["the", "quick", "don't", "stop", "3d", "movie"]
    assert tokenise("The cat and the hat", skip_stop_words=True) == ["cat", "hat"]


def test_chinese_is_cut_into_words() -> None:
    words = tokenise("这是一部关于北京大学的纪录片，非常好看。")
    assert {"北京大学", "纪录片"} <= set(words)
    assert "，" not in words
    assert "的" not in tokenise("北京大学的纪录片", skip_stop_words=True)


def test_an_unknown_language_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(SettingError, match="Known"):
        tokenise("x", "klingon")  # type: ignore[arg-type]


def test_stop_words_are_shipped_for_english_and_chinese() -> None:
    assert {"the", "and", "don't"} <= stop_words("en")
    assert {"的", "是", "我们"} <= stop_words("zh")
    assert stop_words("other") == frozenset()
    assert len(stop_words("en")) > 150
    assert len(stop_words("zh")) > 150


def test_the_chinese_tokenizer_is_silent_and_leaves_no_cache_in_the_temporary_folder(tmp_path: Path) -> None:
    code = "from salon.media.text import tokenise; assert tokenise('我们去看电影', 'zh')"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, env=_environment(TMPDIR=str(tmp_path)))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []
    assert Path(tempfile.gettempdir()) != tmp_path


def _environment(**more: str) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(path for path in sys.path if path), **more}


@pytest.mark.shared
def test_real_chinese_plots_are_told_from_english_titles(shared_data: Path) -> None:
    text = clean_text(read_text(shared_data / "douban-movies-zh" / "items.csv")[:20_000])
    assert language_of(text) == "zh"
    assert len(tokenise(text)) > 2_000
    table = shared_data / "amazon-industrial-text" / "items.csv"
    with pytest.raises(MediaError, match="2,682,335 characters"):
        read_text(table)
    english = read_text(table, limits=MediaLimits(max_text_chars=3_000_000))[:20_000]
    assert language_of(clean_text(english)) == "en"


def test_a_very_long_run_of_rare_characters_is_cut_in_linear_time():
    tokenise("你好", "zh")  # loads the dictionary
    start = time.perf_counter()
    words = tokenise("㐀" * 3 + "龘" * 60_000, "zh")
    assert time.perf_counter() - start < 10
    assert "".join(words).count("龘") == 60_000
