"""A red button from which files can be dragged: `python3 drag_source.py LEFT TOP FILE …`, with Tk and tkdnd."""

import sys
import tkinter

left, top, *files = sys.argv[1:]
root = tkinter.Tk()
root.overrideredirect(True)
root.geometry(f"120x60+{left}+{top}")
root.tk.eval("lappend auto_path {*}[glob /usr/lib/tcltk/*-linux-gnu]; package require tkdnd")
button = tkinter.Label(root, text="photos", background="red")
button.pack(fill="both", expand=True)
root.tk.call("tkdnd::drag_source", "register", str(button), "DND_Files")
dragged = root.register(lambda _types: ("copy", "DND_Files", tuple(files)))
root.tk.call("bind", str(button), "<<DragInitCmd>>", f"{dragged} %t")
root.mainloop()
