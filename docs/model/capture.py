"""Model A: source + publisher(s) + N route FIFO queues + fenced workers (fast path).

seal='durable': a sealed row per key, the batch is fetched again after a crash and compared (the first design).
seal='spool':   the whole batch is sealed; who starts publishes exactly it again, advances to its own next cursor, and
                only then fetches (what the code does). The store's fourth place then holds the sealed batch or None.
                Broken on purpose: resume=False (a restart fetches first), renumber=True (fresh seqs when resumed).
onestep='all':  seal, publish and advance are one transaction (the embedded broker, ADR 0010); 'later': only from the first
                restart on, which may find a batch that was sealed step by step.
                Broken on purpose: resume=False (that batch is written over), cas='cursor' (the epoch is not asked).
"""
import sys
from mc import bfs, report
OFF,IDLE,LOADED,FETCHED,PUB,SPLIT,DEAD=range(7)
BASE=dict(R=1,K=1,changes=3,crash=2,wcrash=1,takeover=0,cuts=0,adv='confirm',epoch=True,cas='cursor',seal='mem',keepseq=True,
  idhash=True,fence='behind',diff=False,idem=True,orphan=False,split=False,win=2,recheck=None,resume=True,renumber=False,onestep=None)
def rep(t,i,v): return t[:i]+(v,)+t[i+1:]
def make(**kw):
    c=dict(BASE); c.update(kw); R,K=c['R'],c['K']; E=c['epoch']
    if c['recheck'] is None: c['recheck']= c['seal'] in('durable','spool')
    spool=c['seal']=='spool'; NOPE=None if spool else (None,)*K
    Z=(0,0)
    #        src             cursor ep  lastpub           pending     nseq committed-seq-per-epoch
    st0=(0,1,((0,0),)*K,NOPE,1 if E else 3,((1,0),))
    p0=(IDLE,1,0,None,None,(),0,(0,)*R,1); poff=(OFF,0,0,None,None,(),0,(0,)*R,1)
    w0=(False,(Z,)*K,(Z,)*K,1)
    r0=(frozenset(),((0,0),)*K)
    init=(((0,0),)*K,st0,(p0,poff) if c['takeover'] else (p0,),((),)*R,(w0,)*R,(r0,)*R,(c['changes'],c['crash'],c['wcrash'],c['takeover'],c['cuts']))
    def rows(src,cur,lastpub,pending):
        if c['diff']:
            o=[k for k in range(K) if src[k][0]%2!=lastpub[k][1] or (not spool and pending and pending[k] is not None)]
        else: o=[k for k in range(K) if src[k][1]>cur]
        o.sort(key=lambda k:src[k][1]); return o[:c['win']]
    def start(st,e_old):   # new epoch, durable
        cur,ep,lp,pe,ns,cs=st
        ep+=1; return (cur,ep,lp,pe,ns+ (0 if E else 2),cs+((ep,0),)),ep,(1 if E else ns)
    def land(p,qs,r):
        stg,e,cur,lp,pe,b,nx,ld,sq=p
        m=b[ld[r]]
        return rep(p,7,rep(ld,r,ld[r]+1)),rep(qs,r,qs[r]+(m,))
    def advance(p,st):
        """CAS; returns (proc,store)"""
        stg,e,cur,lp,pe,b,nx,ld,sq=p
        C,ep,LP,PE,ns,cs=st
        ok = C==cur and (c['cas']=='cursor' or ep==e)
        if c['diff'] and c['cas']=='cursor': ok = (LP==lp)
        if not ok:
            if ep!=e and c['cas']!='cursor': return (DEAD,e,0,None,None,(),0,(0,)*R,sq),st
            return (IDLE,e,0,None,None,(),0,(0,)*R,sq),st
        def newlp(L,P):
            L=list(L);P=None if spool else list(P)
            for m in b:
                L[m[2]]=(m[4],m[5])
                if not spool: P[m[2]]=None
            return tuple(L),P if spool else tuple(P)
        cs2=tuple((x,max(y,b[-1][1])) if x==b[-1][0] else (x,y) for x,y in cs) if b else cs
        if c['split']:
            return (SPLIT,e,cur,lp,pe,b,nx,ld,sq),(nx,ep,LP,PE,ns,cs2)
        LP,PE=newlp(LP,PE)
        return (IDLE,e,0,None,None,(),0,(0,)*R,sq),(nx,ep,LP,PE,ns,cs2)
    def succ(s):
        src,st,ps,qs,ws,rs,bud=s; out=[]; prog=False
        # environment
        if bud[0]:
            mp=max(x[1] for x in src)
            for k in range(K):
                if src[k][0]<3:
                    out.append((f'src k{k}:=v{src[k][0]+1}',(rep(src,k,(src[k][0]+1,mp+1)),st,ps,qs,ws,rs,rep(bud,0,bud[0]-1)),None))
        if bud[3] and ps[0][0] not in(OFF,):
            st2,e,sq=start(st,0)
            out.append((f'P1 takes over epoch{e}',(src,st2,rep(ps,1,(IDLE,e,0,None,None,(),0,(0,)*R,sq)),qs,ws,rs,rep(bud,3,0)),None))
        for i,p in enumerate(ps):
            stg,e,cur,lp,pe,b,nx,ld,sq=p
            if stg in(OFF,DEAD): continue
            zombie = len(ps)==2 and i==0 and ps[1][0]!=OFF
            if bud[1] and stg!=IDLE:
                if zombie: out.append((f'P{i} zombie dies',(src,st,rep(ps,i,(DEAD,e,0,None,None,(),0,(0,)*R,1)),qs,ws,rs,rep(bud,1,bud[1]-1)),None))
                else:
                    st2,e2,sq2=start(st,e)
                    out.append((f'P{i} crash+restart epoch{e2}',(src,st2,rep(ps,i,(IDLE,e2,0,None,None,(),0,(0,)*R,sq2)),qs,ws,rs,rep(bud,1,bud[1]-1)),None))
            if stg==IDLE:
                C,ep,LP,PE,ns,cs=st
                if spool and PE and ep==e and c['resume']:
                    prog=True; ex,nx2,ms=PE; sq2=sq
                    if c['renumber']:
                        ms=tuple((e,sq+i)+m[2:] for i,m in enumerate(ms)); sq2=sq+len(ms)
                    out.append((f'P{i} resumes the sealed batch '+','.join(f'k{m[2]}v{m[3]}=(e{m[0]},s{m[1]},g{m[4]})' for m in ms),(src,st,rep(ps,i,(PUB,e,ex,LP,None,ms,nx2,(0,)*R,sq2)),qs,ws,rs,bud),None))
                elif rows(src,C,LP,PE):
                    prog=True
                    if spool: PE=None
                    out.append((f'P{i} load c{C}',(src,st,rep(ps,i,(LOADED,e,C,LP,PE,(),0,(0,)*R,sq)),qs,ws,rs,bud),None))
            elif stg==LOADED:
                prog=True; ks=rows(src,cur,lp,pe)
                if not ks: out.append((f'P{i} fetch none',(src,st,rep(ps,i,(IDLE,e,0,None,None,(),0,(0,)*R,sq)),qs,ws,rs,bud),None))
                else:
                    b2=tuple((k,src[k][0],src[k][0]%2) for k in ks); nx2=src[ks[-1]][1]
                    out.append((f'P{i} fetch '+','.join(f'k{k}v{v}' for k,v,_ in b2),(src,st,rep(ps,i,(FETCHED,e,cur,lp,pe,b2,nx2,ld,sq)),qs,ws,rs,bud),None))
            elif stg==FETCHED:
                prog=True; C,ep,LP,PE,ns,cs=st
                one=c['onestep']=='all' or (c['onestep']=='later' and e>1)
                if one: refused=(ep!=e and c['cas']!='cursor') or C!=cur or (PE is not None and c['resume'])
                else: refused=c['recheck'] and (ep!=e or (spool and C!=cur))
                if refused:
                    out.append((f'P{i} seal refused',(src,st,rep(ps,i,(DEAD,e,0,None,None,(),0,(0,)*R,sq)),qs,ws,rs,bud),None))
                else:
                    ms=[];PE2=[] if spool else list(PE); ns2=ns
                    for k,v,x in b:
                        g=lp[k][0]+1; es=None
                        if c['seal']=='durable' and pe[k] is not None:
                            if pe[k][1]==x:
                                g=pe[k][0]
                                if c['keepseq']: es=(pe[k][2],pe[k][3])
                            else: g=pe[k][0]+1
                        if es is None:
                            if not E and sq%2==1 and sq>1 and sq+0>=ns: sq=ns2; ns2+=2   # new range
                            es=(e if E else 0,sq); sq+=1
                        ms.append((es[0],es[1],k,v,g,x))
                        if not spool: PE2[k]=(g,x,es[0],es[1])
                    st2=(C,ep,LP,(cur,nx,tuple(ms)) if spool else tuple(PE2) if c['seal']=='durable' else PE,ns2,cs)
                    p2=(PUB,e,cur,lp,pe,tuple(ms),nx,(0,)*R,sq)
                    if one:
                        p2,st2=advance(p2,st)
                        v='INV6 zombie moved the cursor' if zombie and st2[0]!=st[0] and not c.get('noz6') else None
                        q2=tuple(q+tuple(ms) for q in qs)
                        out.append((f'P{i} in one step '+','.join(f'k{m[2]}v{m[3]}=(e{m[0]},s{m[1]},g{m[4]},h{m[5]})' for m in ms),(src,st2,rep(ps,i,p2),q2,ws,rs,bud),v))
                        continue
                    if c['adv']=='early':
                        pz,st2=advance(p2,st2)
                        p2=rep(p2,0,PUB) if pz[0]==IDLE else pz
                    out.append((f'P{i} seal '+','.join(f'k{m[2]}v{m[3]}=(e{m[0]},s{m[1]},g{m[4]},h{m[5]})' for m in ms),(src,st2,rep(ps,i,p2),qs,ws,rs,bud),None))
            elif stg==PUB:
                prog=True
                for r in range(R):
                    if ld[r]<len(b):
                        p2,q2=land(p,qs,r); m=b[ld[r]]
                        out.append((f'P{i} land k{m[2]}v{m[3]}->r{r}',(src,st,rep(ps,i,p2),q2,ws,rs,bud),None))
                if bud[4] and any(ld): out.append((f'P{i} cut, republish',(src,st,rep(ps,i,rep(p,7,(0,)*R)),qs,ws,rs,rep(bud,4,bud[4]-1)),None))
                if all(x==len(b) for x in ld):
                    if c['adv']=='early': p2,st2=(IDLE,e,0,None,None,(),0,(0,)*R,sq),st
                    else: p2,st2=advance(p,st)
                    v=None
                    if zombie and st2[0]!=st[0]: v='INV6 zombie moved the cursor'
                    if c.get('noz6'): v=None
                    out.append((f'P{i} confirmed, CAS c{cur}->{nx} '+('ok' if st2 is not st else 'refused'),(src,st2,rep(ps,i,p2),qs,ws,rs,bud),v))
            elif stg==SPLIT:
                prog=True; C,ep,LP,PE,ns,cs=st
                L=list(LP)
                for m in b: L[m[2]]=(m[4],m[5])
                out.append((f'P{i} write last-published',(src,(C,ep,tuple(L),PE,ns,cs),rep(ps,i,(IDLE,e,0,None,None,(),0,(0,)*R,sq)),qs,ws,rs,bud),None))
        for r in range(R):
            done,mem,dur,kep=ws[r]; q=qs[r]; seen,rv=rs[r]
            if q and not done:
                prog=True; m=q[0]; e,sq,k,v,g,x=m; o=(e,sq); idd=(k,g,x) if c['idhash'] else (k,g); viol=None
                kep2=max(kep,e)
                cs=dict(st[5])
                if c['orphan'] and e<kep2 and sq>cs.get(e,0): lab='orphan skip'; rs2=rs; mem2=mem
                elif o<=mem[k]: lab='fenced'; rs2=rs; mem2=mem
                elif c['idem'] and idd in seen:
                    lab='swallowed'; mem2=rep(mem,k,o); rs2=rs
                    if rv[k][1]!=x and rv[k][0]<v and not c.get('nosw'): viol='INV4 id reuse swallowed a different newer content'
                else:
                    lab='effect'; mem2=rep(mem,k,o)
                    if v<rv[k][0]: viol=f'INV2 effect k{k}v{v} after v{rv[k][0]}'
                    if c.get('noreg'): viol=None
                    rs2=rep(rs,r,(seen|{idd} if c['idem'] else seen,rep(rv,k,(v,x))))
                out.append((f'W{r} {lab} k{k}v{v}(e{e},s{sq})',(src,st,ps,qs,rep(ws,r,(True,mem2,dur,kep2 if c['orphan'] else 1)),rs2,bud),viol))
            if done:
                prog=True
                if c['fence']!='flush' or dur==mem:
                    out.append((f'W{r} ack',(src,st,ps,rep(qs,r,q[1:]),rep(ws,r,(False,mem,dur,kep)),rs,bud),None))
            if mem!=dur and c['fence']!='memory':
                if c['fence']=='flush': prog=True
                out.append((f'W{r} flush',(src,st,ps,qs,rep(ws,r,(done,mem,mem,kep)),rs,bud),None))
            if bud[2] and (done or mem!=dur):
                d2=dur if c['fence']!='memory' else (Z,)*K
                out.append((f'W{r} crash',(src,st,ps,qs,rep(ws,r,(False,d2,dur,st[1] if c['orphan'] else 1)),rs,rep(bud,2,bud[2]-1)),None))
        fv=None
        if not prog:
            fv=''
            for r in range(R):
                for k in range(K):
                    if rs[r][1][k][1]!=src[k][0]%2: fv=f'INV1 lost: r{r} k{k} has v{rs[r][1][k][0]}, source v{src[k][0]}'
        return out,fv
    return init,succ
def run(name,tmax=40,**kw): report(name,bfs(*make(**kw),tmax=tmax))
if __name__=='__main__':
    W=dict(noz6=True)
    T=sys.argv[1]
    if T=='1':
        run('A1 as written, 1 proc, 2 crashes, idem')
        run('A1b as written, PUT receiver',idem=False)
        run('A2 as written, snapshot-diff source',diff=True)
        run('A3 zombie, CAS on cursor only',takeover=1,crash=0,wcrash=0)
        run('A3b same, ignoring INV6/INV2/INV4',takeover=1,crash=0,wcrash=0,noz6=True,noreg=True,nosw=True)
        run('A4 zombie, CAS epoch+cursor, no recheck',takeover=1,crash=0,wcrash=0,cas='epoch')
        run('A4b same, PUT, ignoring transient',takeover=1,crash=0,wcrash=0,cas='epoch',idem=False,noreg=True)
        run('A5 durable seal, CAS epoch, ack before flush, zombie',takeover=1,crash=0,wcrash=1,cas='epoch',seal='durable')
        run('A6 split cursor/lastpub',split=True,wcrash=0)
        run('V1 advance before confirm',adv='early',R=2,crash=1,wcrash=0)
        run('V2 no epoch, zombie',epoch=False,takeover=1,crash=0,wcrash=0,noz6=True)
        run('V3 id without hash',idhash=False,crash=1,wcrash=0)
        run('V4 fence only in memory',fence='memory',takeover=1,crash=0,wcrash=1,cas='epoch',seal='durable')
    if T=='2':
        F=dict(cas='epoch',seal='durable',fence='flush')
        run('F1 fixed, 1 proc 2 crashes',**F)
        run('F1b fixed PUT',idem=False,**F)
        run('F2 fixed diff source',diff=True,**F)
        run('F3 fixed zombie 1 key',takeover=1,crash=1,wcrash=1,**F)
        run('F3b fixed zombie PUT',takeover=1,crash=1,wcrash=1,idem=False,**F)
        run('F4 fixed 2 keys zombie',takeover=1,crash=0,wcrash=1,K=2,tmax=90,**F)
        run('F5 fixed 2 routes crash cut',R=2,crash=1,wcrash=0,cuts=1,K=1,changes=2,tmax=60,**F)
        run('F6 fixed keepseq=False',keepseq=False,**F)
        run('F6z keepseq=False zombie',keepseq=False,takeover=1,crash=1,**F)
        F['fence']='behind'
        run('F7 orphan rule instead of flush, zombie',takeover=1,crash=1,wcrash=1,orphan=True,**F)
        run('F7b orphan rule PUT',takeover=1,crash=1,wcrash=1,orphan=True,idem=False,**F)
        run('F7c orphan rule keepseq=False',takeover=1,crash=1,wcrash=1,orphan=True,keepseq=False,**F)
    if T=='3':
        F=dict(cas='epoch',seal='durable',fence='flush')
        run('V2 no epoch, zombie',epoch=False,takeover=1,crash=0,wcrash=0,noz6=True)
        run('V2b no epoch, durable seal, flush, zombie PUT',epoch=False,takeover=1,crash=0,wcrash=0,seal='durable',recheck=False,fence='flush',noz6=True,idem=False)
        def drop(nm,**d):
            G=dict(F); G.update(d); run(nm,**G)
        drop('F8 split cursor/lastpub with durable seal',split=True,crash=2)
        drop('F8z split, zombie',split=True,crash=1,takeover=1)
        drop('F9 no epoch in CAS, recheck kept',cas='cursor',takeover=1,crash=0)
        drop('F10 no recheck',recheck=False,takeover=1,crash=0)
        drop('F11 mem seal, recheck, PUT',seal='mem',recheck=True,idem=False,takeover=1,crash=1)
        drop('F12 diff source zombie',diff=True,takeover=1,crash=1)
        drop('F13 diff source, mem seal',diff=True,seal='mem',idem=False)
        drop('F14 2 routes zombie 1 change',R=2,takeover=1,crash=0,wcrash=0,changes=2,tmax=60)
        drop('F15 2 keys, 2 crashes, cut',K=2,cuts=1,crash=2,wcrash=1,tmax=90)
        drop('F16 id without hash, durable seal',idhash=False)
    if T=='4':
        F=dict(cas='epoch',seal='spool',fence='flush')
        run('S1 spool, 1 proc 2 crashes',**F)
        run('S1b spool PUT',idem=False,**F)
        run('S2 spool diff source',diff=True,**F)
        run('S2b spool diff source PUT',diff=True,idem=False,**F)
        run('S3 spool zombie',takeover=1,crash=1,wcrash=1,tmax=90,**F)
        run('S3b spool zombie PUT',takeover=1,crash=1,wcrash=1,idem=False,tmax=90,**F)
        run('S3c spool zombie diff source',takeover=1,crash=1,wcrash=1,diff=True,tmax=90,**F)
        run('S4 spool 2 keys zombie',takeover=1,crash=0,wcrash=1,K=2,tmax=120,**F)
        run('S4b spool 2 keys, 2 crashes, cut',K=2,cuts=1,crash=2,wcrash=0,tmax=120,**F)
        run('S5 spool 2 routes crash cut',R=2,crash=1,wcrash=0,cuts=1,changes=2,tmax=90,**F)
        run('S5z spool 2 routes zombie',R=2,takeover=1,crash=0,wcrash=0,changes=2,tmax=90,**F)
    if T=='5':   # what of it is needed
        F=dict(cas='epoch',seal='spool',fence='flush')
        run('M1 spool, a restart fetches before it resumes',resume=False,**F)
        run('M1b same, PUT',resume=False,idem=False,**F)
        run('M1c same, diff source',resume=False,diff=True,idem=False,**F)
        run('M2 spool, fresh seqs when resumed, PUT zombie',renumber=True,idem=False,takeover=1,crash=1,**F)
        run('M3 spool without R4 (epoch not asked at the seal), PUT zombie',recheck=False,idem=False,takeover=1,crash=1,**F)
        run('M4 spool without R5 (ack before flush), zombie, deduplicating receiver',takeover=1,crash=1,wcrash=1,**dict(F,fence='behind'))
        run('M4b same, PUT',takeover=1,crash=1,wcrash=1,idem=False,**dict(F,fence='behind'))
        run('M5 spool, CAS on cursor only, zombie',takeover=1,crash=0,**dict(F,cas='cursor'))
    if T=='6':   # one transaction instead of seal, publish and advance
        F=dict(cas='epoch',seal='spool',fence='flush',onestep='all')
        run('O1 one step, 1 proc 2 crashes',**F)
        run('O1b one step PUT',idem=False,**F)
        run('O2 one step diff source',diff=True,**F)
        run('O2b one step diff source PUT',diff=True,idem=False,**F)
        run('O3 one step zombie',takeover=1,crash=1,wcrash=1,tmax=90,**F)
        run('O3b one step zombie PUT',takeover=1,crash=1,wcrash=1,idem=False,tmax=90,**F)
        run('O3c one step zombie diff source',takeover=1,crash=1,wcrash=1,diff=True,tmax=90,**F)
        run('O4 one step 2 keys zombie',takeover=1,crash=0,wcrash=1,K=2,tmax=120,**F)
        run('O5 one step 2 routes crash',R=2,crash=1,wcrash=0,changes=2,tmax=90,**F)
        L=dict(F,onestep='later')
        run('O6 one step behind a batch sealed step by step',**L)
        run('O6b same, PUT',idem=False,**L)
        run('O6c same, diff source',diff=True,**L)
        run('O6z same, PUT zombie',takeover=1,crash=1,wcrash=1,idem=False,tmax=90,**L)
    if T=='7':   # what of it is needed
        F=dict(cas='epoch',seal='spool',fence='flush',onestep='all')
        L=dict(F,onestep='later')
        run('N1 one step, CAS on cursor only, zombie',takeover=1,crash=0,**dict(F,cas='cursor'))
        run('N2 one step over a sealed batch',resume=False,**L)
        run('N2b same, PUT',resume=False,idem=False,**L)
        run('N2c same, diff source PUT',resume=False,diff=True,idem=False,**L)
