"""Model D: `latest` with crashes (D9, D10). One key, deleted before; versions 1 and 2 are upserts, 3 a delete or an upsert.
At the end the receiver must hold the last version, and on the way it must never go back. An attempt may fail once.
  python3 supersede.py    the rules, which must hold; then one broken at a time, each of which must come out BROKEN
"""
from mc import bfs, report
CRASHES = 2
FIELDS = 'queue taken lane flight out sups acks row fence present doubt holds crashes busy'.split()

def model(deletes, in_memory=False, doubts=True, r12=True):
    N = 3
    def upsert(v): return v < N or not deletes
    # lane: unsent, (v, from row); flight: being sent; out: applied and not durable; sups: superseded and not durable
    init = ((1, 2, 3), 0, None, None, None, (), (), None, 0, 0, 0, 0, 0, 1)
    def succ(state):
        s = dict(zip(FIELDS, state)); r = []
        def to(label, bad=None, **changed): r.append((label, tuple({**s, **changed}[f] for f in FIELDS), bad))
        def doubtful(v): return int(bool(s['doubt'] or (doubts and v is not None and upsert(v) and not s['present'])))
        queue, lane, flight, out, row, fence = (s[f] for f in ('queue', 'lane', 'flight', 'out', 'row', 'fence'))
        hand = next((x[0] for x in (out, flight, lane) if x), None)
        if s['taken'] < len(queue):
            v = queue[s['taken']]; k = dict(taken=s['taken'] + 1)
            if row is not None or (hand is not None and not in_memory):
                if v <= fence: to(f'past{v}', acks=s['acks'] + (v,), **k)
                elif row is not None and v <= row and r12: to(f'outdated{v}', acks=s['acks'] + (v,), doubt=doubtful(v if v < row else None), **k)
                else: to(f'hold{v}', row=v, acks=s['acks'] + (v,), doubt=doubtful(row if row is not None else hand), **k)
            elif lane is None: to(f'take{v}', lane=(v, 0), **k)
            elif v > lane[0]: to(f'{v}over{lane[0]}', lane=(v, 0), sups=s['sups'] + (lane[0],), **k)
            else: to(f'repeat{v}', acks=s['acks'] + (v,), **k)
        if s['sups']:
            v = s['sups'][0]
            to(f'superseded{v}', sups=s['sups'][1:], acks=s['acks'] + (v,), doubt=doubtful(v))
        if s['acks']:
            v = s['acks'][0]; i = queue.index(v) if v in queue else None
            k = {} if i is None else dict(queue=queue[:i] + queue[i + 1:], taken=s['taken'] - (i < s['taken']))
            to(f'ack{v}', acks=s['acks'][1:], **k)
        if lane and not in_memory and row is not None and row > lane[0]:  # the row is durable: the older one may go
            to(f'{row}for{lane[0]}', lane=(row, 1), acks=s['acks'] if lane[1] else s['acks'] + (lane[0],),
               doubt=doubtful(lane[0]))
        if flight is None and out is None:
            if lane is None and row is not None: to(f'load{row}', lane=(row, 1))
            if lane is not None:
                v, from_row = lane; done = dict(lane=None, acks=s['acks'] if from_row else s['acks'] + (v,), row=None if row == v else row)
                if v <= fence: to(f'past{v}', **done)
                elif not upsert(v) and not s['present'] and not s['doubt'] and not (in_memory and doubts): to(f'skip{v}', fence=v, **done)
                else: to(f'start{v}', lane=None, flight=lane)
        if flight is not None:
            v, from_row = flight
            to(f'apply{v}', 'the receiver goes back' if s['holds'] > v else None, flight=None, out=flight, holds=v)
            if s['busy']:
                if from_row: to(f'busy{v}', flight=None, busy=0)
                elif row is not None and row > v: to(f'busy{v}', flight=None, busy=0, acks=s['acks'] + (v,), doubt=doubtful(v))
                else: to(f'busy{v}', flight=None, busy=0, row=v, acks=s['acks'] + (v,))
        if out is not None:
            v, from_row = out; k = dict(out=None, acks=s['acks'] if from_row else s['acks'] + (v,), row=None if row == v else row)
            if v >= fence: k.update(fence=v, present=int(upsert(v)), doubt=0)
            to(f'commit{v}', **k)
        ended = None
        if not r:
            good = not queue and row is None and (s['holds'] == N or (deletes and s['holds'] == 0))
            ended = False if good else f"the receiver holds version {s['holds']}, queue {queue}, row {row}"
        if s['crashes'] < CRASHES: to('CRASH', taken=0, lane=None, flight=None, out=None, sups=(), acks=(), crashes=s['crashes'] + 1)
        return r, ended
    return bfs(init, succ)

for deletes in (True, False):
    report(f"D9, D10; last is {'a delete' if deletes else 'an upsert'}", model(deletes))
report('superseded in memory', model(False, in_memory=True))
report('no doubt', model(True, doubts=False))
report('without R12', model(False, r12=False))
