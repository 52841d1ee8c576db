"""DNS messages about containers, read and written by dnspython.

Imported when the first container with names starts: the library is two megabytes.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename

if TYPE_CHECKING:
    from engine.networks.dns import Names

TTL = 600  # seconds, as the Docker Engine's
LARGEST = 65535
PLAIN_LIMIT = 512  # bytes of an answer by UDP to who offers no more
_TYPES = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}


def answer(names: Names, container_id: str, data: bytes, *, by_stream: bool) -> bytes | None:
    """Return the answer to a question about containers, None when others know it."""
    try:
        query = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError, struct.error):
        return failure(data, dns.rcode.FORMERR)
    if len(query.question) != 1 or query.opcode() != 0:
        return None
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True)
    if question.rdclass != dns.rdataclass.IN:
        return None
    texts: list[str] = []
    if question.rdtype == dns.rdatatype.PTR:
        try:
            address = dns.reversename.to_address(question.name)
        except (dns.exception.DNSException, ValueError):
            return None
        known = names.reverse(container_id, address)
        if known is None:
            return None
        texts = [f"{known}."]
    else:
        addresses = names.addresses(container_id, name)
        if addresses is None:
            return None
        version = _TYPES.get(question.rdtype)
        texts = [item for item in addresses if (6 if ":" in item else 4) == version]
        random.shuffle(texts)
    reply = dns.message.make_response(query, recursion_available=True)
    if texts:
        kind = question.rdtype
        rows = [dns.rdata.from_text(dns.rdataclass.IN, kind, text) for text in texts]
        rrset = reply.find_rrset(reply.answer, question.name, dns.rdataclass.IN, kind, create=True)
        for row in rows:
            rrset.add(row, TTL)
    most = LARGEST if by_stream else max(PLAIN_LIMIT, query.payload or 0)
    try:
        return reply.to_wire(max_size=most)
    except dns.exception.TooBig:
        reply.answer.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire(max_size=most)


def failure(question: bytes, code: int = dns.rcode.SERVFAIL) -> bytes:
    """Return "it failed" for a question, which is repeated as far as it can be read."""
    number = question[:2].ljust(2, b"\0")
    try:
        query = dns.message.from_wire(question)
        reply = dns.message.make_response(query, recursion_available=True)
    except (dns.exception.DNSException, ValueError, struct.error):
        return number + struct.pack("!HHHHH", 0x8080 | code, 0, 0, 0, 0)
    reply.set_rcode(dns.rcode.Rcode(code))
    return reply.to_wire()
