"""DreamBooth that learns the object, not its background (section 3.4): loss, photos with masks, folders, score."""
