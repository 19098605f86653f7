"""`python -m client` is the command `gradserve`."""

from client.cli import main

main()
