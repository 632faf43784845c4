"""Pages can be read with a keyboard and a screen reader."""

import doctest

import accessible


def test_examples_give_what_they_say():
    assert doctest.testmod(accessible) == (0, 2)


def test_code_can_be_reached_by_a_keyboard():
    assert accessible.mended("<pre>x</pre>") == '<pre tabindex="0">x</pre>'
    table = '<div class="table-wrapper docutils container">'
    assert accessible.mended(table) == '<div tabindex="0" class="table-wrapper docutils container">'


def test_pictures_are_not_described_by_a_file_s_name():
    drawn = f'<img alt="../../_images/{"0a" * 32}.png" src="x.png" />'
    assert accessible.mended(drawn) == '<img alt="What the code above draws" src="x.png" />'
    assert accessible.mended('<img alt="Left of class A" src="x.png" />') == '<img alt="Left of class A" src="x.png" />'


def test_true_lists_of_definitions_are_left_alone():
    html = '<dl>\n<dt>a</dt>\n<dd>b</dd>\n</dl><dl class="field-list">\n<dd>c</dd>\n</dl>'
    assert accessible.mended(html) == html


def test_body_and_navigation_are_mended():
    context = {"body": "<pre>", "furo_navigation_tree": '<p role="heading">', "title": "<pre>"}
    accessible.mend(None, "", "", context, None)
    assert context == {
        "body": '<pre tabindex="0">',
        "furo_navigation_tree": '<p role="heading" aria-level="2">',
        "title": "<pre>",
    }
