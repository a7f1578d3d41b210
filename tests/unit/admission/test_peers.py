"""What a leader is told of a question, and that nothing of it is lost on the way."""

import msgspec

from spillway.admission.peer_channel import Outbox, Question, questions
from spillway.admission.review import AdmissionRequest, decode_request

POD = msgspec.Raw(b'{"metadata":{"generateName":"web-"}}')
REQUEST = AdmissionRequest(uid="u", operation="CREATE", namespace="shop", name="", dry_run=True, object=POD)


def test_a_question_is_passed_on_with_all_that_is_read_of_it() -> None:
    (question,) = questions.decode(b"[" + msgspec.json.encode(Question(7, 0.5, REQUEST)) + b"]")
    assert (question.number, question.seconds) == (7, 0.5)
    again = question.request
    assert (again.uid, again.operation, again.namespace, again.dry_run) == ("u", "CREATE", "shop", True)
    assert bytes(again.object) == bytes(POD)


def test_what_the_api_server_says_there_is_not_is_left_out() -> None:
    review = b'{"request":{"uid":"u","operation":"CREATE","object":{"metadata":{}},"oldObject":null}}'
    encoded = msgspec.json.encode(Question(1, 1.0, decode_request(review)))
    assert encoded == b'[1,1.0,{"uid":"u","operation":"CREATE","object":{"metadata":{}}}]'


async def test_what_waits_goes_in_one_message_until_that_is_full() -> None:
    sent: list[bytes] = []

    async def send(message: bytes) -> None:
        sent.append(message)

    outbox = Outbox(send)
    big = msgspec.structs.replace(REQUEST, object=msgspec.Raw(b'"' + b"x" * 700_000 + b'"'))
    for number, request in enumerate((REQUEST, REQUEST, big, REQUEST, big, big)):
        outbox.put(Question(number, 1.0, request))
    await outbox.flush()
    assert [[one.number for one in questions.decode(message)] for message in sent] == [[0, 1, 2, 3], [4], [5]]
    await outbox.flush()
    assert len(sent) == 3
