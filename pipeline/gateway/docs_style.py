"""How the page of the contract looks."""

from typing import Final

STYLE: Final = """\
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6575;--line:#dde2ea;--paper:#fff;--tint:#f5f7fa;--link:#1257b8;
--get:#0b6b50;--post:#8a4b00}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ef;--soft:#9aa5b5;--line:#313a48;--paper:#141920;--tint:#1c232d;
--link:#7db3ff;--get:#5fd0a8;--post:#f0b35e}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0;color:var(--ink);background:var(--paper);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
a{color:var(--link);text-decoration:none}
a:hover,a:focus-visible{text-decoration:underline}
code,pre,.method{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.875em}
code{background:var(--tint);padding:.1em .3em;border-radius:4px;overflow-wrap:anywhere}
a code{color:inherit}
pre{background:var(--tint);border:1px solid var(--line);border-radius:8px;padding:.9rem 1rem;
overflow:auto;max-height:32rem}
nav{padding:1rem 1.25rem;border-bottom:1px solid var(--line);background:var(--tint);font-size:.9rem}
nav h2{font-size:.75rem;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:1.1rem 0 .3rem}
nav ul{list-style:none;margin:0;padding:0}
nav li a{display:block;padding:.18rem 0;color:inherit}
summary{cursor:pointer;font-weight:600}
main{max-width:62rem;padding:1.25rem;margin:0 auto}
h1{font-size:1.9rem;line-height:1.2;margin:.5rem 0}
h2{margin:2.75rem 0 .5rem;font-size:1.45rem}
h3{font-size:1.1rem;margin:0 0 .6rem;display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
h4{margin:1.3rem 0 .4rem}
.lead{font-size:1.1rem;color:var(--soft);margin-top:0}
section{border-top:1px solid var(--line);padding:1.5rem 0 .5rem;margin-top:1.25rem}
.path{background:none;padding:0;font-size:1rem;font-weight:600}
.method{display:inline-block;min-width:3.3em;text-align:center;font-weight:700;font-size:.72rem;border:1px solid;
border-radius:4px;padding:0 .35em}
.get{color:var(--get)}
.post{color:var(--post)}
.table{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;font-size:.75rem;text-transform:uppercase;letter-spacing:.05em;color:var(--soft)}
th,td{padding:.5rem .8rem .5rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child code{white-space:nowrap}
td small{color:var(--soft);display:block}
abbr{color:var(--post);text-decoration:none;margin-left:.15em}
details{margin:.5rem 0}
.skip{position:absolute;left:-999px}
.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem}
@media (min-width:64rem){
body{display:grid;grid-template-columns:19rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;border:0;border-right:1px solid var(--line)}
nav summary{display:none}
main{padding:2rem 3rem;margin:0}}
@media (max-width:40rem){
thead{position:absolute;left:-999px}
table,tbody,tr,td{display:block}
tr{border-bottom:1px solid var(--line);padding:.5rem 0}
td{border:0;padding:.1rem 0}
td:empty{display:none}
td[data-head=default]:not(:empty)::before{content:"default ";color:var(--soft)}}
"""
