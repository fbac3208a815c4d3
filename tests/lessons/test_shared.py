"""What several lessons share."""

from collections import Counter

from tinylm.lessons.shared import fact_questions


def test_the_right_answer_of_the_exam_stands_at_each_place_about_equally_often():
    for edition in (1, 2):
        places = Counter(question.answer for question in fact_questions(edition))
        assert all(0.2 < places[place] / places.total() < 0.3 for place in range(4))
