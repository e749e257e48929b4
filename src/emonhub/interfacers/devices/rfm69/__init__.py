"""The RFM69 radio module on an SPI bus, whatever its frames are."""
