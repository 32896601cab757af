"""What tests of engines, of programs and of openlive itself use."""
