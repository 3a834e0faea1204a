"""The command line `lujan`: commands, live view and closing report. Texts are for city staff."""
