import re
p='crates/tool/src/check/names.rs'
s=open(p).read()
s=re.sub(r'<<<<<<< .*?\n(.*?)=======\n(.*?)>>>>>>> .*?\n',r'\2',s,flags=re.S)
i=s.index('pub const ALL'); body=s[i:s.index('\n];',i)]
n=len(re.findall(r'^    \("[a-z-]+/[a-z-]+"|^    \(\n        "[a-z-]+/',body,flags=re.M))
s=re.sub(r'\[Row; \d+\]','[Row; %d]'%n,s,1)
open(p,'w').write(s); print(n)
