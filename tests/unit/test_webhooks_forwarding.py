"""What a leader is told of a question, and that nothing of it is lost on the way."""

import msgspec

from spillway.webhooks.forwarding import _body
from spillway.webhooks.review import Request, decode_request


def test_a_question_is_passed_on_with_all_that_is_read_of_it() -> None:
    pod = msgspec.Raw(b'{"metadata":{"generateName":"web-"}}')
    request = Request(uid="u", operation="CREATE", namespace="shop", name="", dry_run=True, object=pod)
    again = decode_request(_body(request))
    assert (again.uid, again.operation, again.namespace, again.dry_run) == ("u", "CREATE", "shop", True)
    assert bytes(again.object) == bytes(pod)
