"""`python -m gradserve` is the command `gradserve`."""

from gradserve.cli.main import main

main()
