# frozen_string_literal: true

module Samehost
  VERSION = '0.1.0'
end
