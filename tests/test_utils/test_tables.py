import numpy as np

from bas_mm.utils.tables import metrics_table, render_table


def test_metrics():
    table = metrics_table(
        {
            'wsol/gt_known': np.float32(91.0712),
            'wsol/images': 12,
            'wsol/note': '3.0000 [1.00, 5.00]',
            'curve': np.arange(3),
        }
    )
    lines = table.splitlines()
    assert [line.split() for line in lines if '─' not in line] == [
        ['metric', 'value'],
        ['wsol/gt_known', '91.0712'],
        ['wsol/images', '12'],
        ['wsol/note', '3.0000', '[1.00,', '5.00]'],
    ]
    assert metrics_table({}) == 'No metrics.'


def test_markup_and_width_are_left_alone():
    long = 'x' * 500
    table = render_table(['[b]name[/b]', 'n'], [[long, '[red]1'], ['b', '2']])
    assert long in table and '[b]name[/b]' in table and '[red]1' in table
    assert render_table(['header'], []).split()[0] == 'header'


def test_markdown_numbers_to_the_right_words_to_the_left():
    table = render_table(
        ['run', 'value', 'note'],
        [['cam', '9.5', 'a'], ['bas', '10.5', 'bcd']],
        markdown=True,
    )
    assert table.splitlines() == [
        '| run | value | note |',
        '|-----|-------|------|',
        '| cam |   9.5 | a    |',
        '| bas |  10.5 | bcd  |',
    ]
