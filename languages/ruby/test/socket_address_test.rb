# frozen_string_literal: true

require_relative 'paths'

# How addresses are read, and which are refused.
class SocketAddressTest < Minitest::Test
  def test_a_path_and_both_forms_of_address_are_the_same
    ['/run/a.sock', 'unix:/run/a.sock', 'unix:///run/a.sock', Samehost::SocketAddress.new('/run/a.sock')].each do |each|
      address = Samehost::SocketAddress.new(each)
      assert_equal ['/run/a.sock', 'unix:/run/a.sock'], [address.path, address.to_s]
    end
  end

  def test_what_no_server_can_have_is_refused
    ['', 'unix:', 'a.sock', 'unix:a.sock', 'unix://run/a.sock', '/run/', '/run/..', '/a%20', '/a?', '/a#', '/a,b',
     "/a\n", "/\xFF", "/#{'x' * 107}"].each do |text|
      assert_raises(Samehost::AddressError, text) { Samehost::SocketAddress.new(text) }
    end
  end

  def test_a_path_is_counted_in_bytes
    assert Samehost::SocketAddress.new("/#{'é' * 53}")
    assert_raises(Samehost::AddressError) { Samehost::SocketAddress.new("/#{'é' * 54}") }
  end
end
