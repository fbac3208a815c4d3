"""What the tests of lessons share: each lesson runs once at smoke scale, all on the same base
runs."""

from functools import cache

import pytest

from tinylm.lessons.experiment import folder_name
from tinylm.lessons.lesson import find_lesson, run_lesson


@pytest.fixture(scope="session")
def lessons_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lessons")


@pytest.fixture(scope="session")
def smoke_lesson(lessons_folder):
    """A function: the results of a lesson at smoke scale, by its name; its files stand in
    `lessons_folder / name`."""

    @cache
    def results(name):
        *_, last = run_lesson(find_lesson(name), "smoke", lessons_folder / name)
        return last.results

    return results


@pytest.fixture(scope="session")
def smoke_control(lessons_folder):
    """The same of a lesson's control, whose folder stands beside the lesson's."""

    @cache
    def results(name):
        folder = lessons_folder / folder_name(name, True)
        *_, last = run_lesson(find_lesson(name), "smoke", folder, control=True)
        return last.results

    return results
