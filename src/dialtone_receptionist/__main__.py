import sys

from dialtone_receptionist.processes import main

if __name__ == "__main__":
    sys.exit(main())
