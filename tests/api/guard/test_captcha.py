"""Laws of CAPTCHAs that are tried out."""

from triolet_api.guard.captcha import RecordedCaptcha


async def test_the_recorded_one_takes_each_answer_once():
    captcha = RecordedCaptcha("good")

    assert [await captcha.verify("good", "a") for _ in range(2)] == [True, False]
    assert captcha.asked == [("good", "a")] * 2
