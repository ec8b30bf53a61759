"""Writes a mailbox with smtplib and imaplib, and compares later what another mailstore shows.

clients.py write|compare LMTP-PORT IMAP-PORT USER PASSWORD FILE
"""
import email.message
import hashlib
import imaplib
import json
import smtplib
import sys
import time

mode, lmtp_port, imap_port, user, password, path = sys.argv[1:7]
imaplib._MAXLINE = 10_000_000


def check(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def message(n):
    m = email.message.EmailMessage()
    m["From"], m["To"], m["Subject"] = "Zoë <zoe@example.net>", user, f"number {n} — ünïcode"
    m.set_content(f"text {n}\n.\n..\nFrom here\n")
    if n % 3 == 0:
        m.add_attachment(bytes(range(256)) * 50, maintype="application", subtype="octet-stream", filename="bytes.bin")
    return m


def shown(m):
    """Everything that a client sees, folder by folder."""
    folders = {}
    for line in check(m.list()):
        name = line.decode().rsplit(' "/" ', 1)[1]
        status = check(m.status(name, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"))
        check(m.select(name, readonly=True))
        found = []
        for uid in check(m.uid("SEARCH", "ALL"))[0].split():
            data = check(m.uid("FETCH", uid, "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"))
            parts = [p if isinstance(p, bytes) else p[0] + hashlib.sha256(p[1]).hexdigest().encode() for p in data]
            found.append(b" ".join(parts).decode("utf-8", "replace").replace(" \\Recent", "").replace("\\Recent", ""))
        folders[name] = {"line": line.decode(), "status": [s.decode() for s in status], "messages": found}
    folders["subscribed"] = sorted(s.decode() for s in check(m.lsub()) if s)
    return folders


m = imaplib.IMAP4("127.0.0.1", int(imap_port))
check(m.login(user, password))
if mode == "write":
    s = smtplib.LMTP("127.0.0.1", int(lmtp_port))
    for n in range(12):
        refused = s.send_message(message(n), "sender@example.net", [user])
        assert refused == {}, refused
    s.quit()
    check(m.select("INBOX"))
    assert len(check(m.search(None, "ALL"))[0].split()) == 12
    check(m.create("Projekte/2026"))
    check(m.create("&AOQ-"))
    check(m.subscribe("Projekte/2026"))
    check(m.append("Projekte/2026", r"(\Flagged $Work)", imaplib.Time2Internaldate(time.time() - 90_000), message(20).as_bytes().replace(b"\n", b"\r\n")))
    check(m.uid("STORE", "1:4", "+FLAGS", r"(\Seen)"))
    check(m.uid("COPY", "2", "Projekte/2026"))
    check(m.uid("MOVE", "3", "&AOQ-"))
    check(m.uid("STORE", "5", "+FLAGS", r"(\Deleted)"))
    check(m.expunge())
    found = check(m.uid("SEARCH", None, "SUBJECT", '"number"', "SEEN"))[0].split()
    assert len(found) == 3, found
    with open(path, "w") as f:
        json.dump(shown(m), f)
else:
    with open(path) as f:
        before = json.load(f)
    now = shown(m)
    for name in sorted(set(before) | set(now)):
        assert before.get(name) == now.get(name), f"{name}\n got {now.get(name)}\nwant {before.get(name)}"
    print(sum(len(f["messages"]) for f in now.values() if isinstance(f, dict)), "messages are as they were")
m.logout()
